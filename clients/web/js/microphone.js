/**
 * The microphone: which there are, what is done to their sound, and why one cannot be had.
 *
 * @module microphone
 */

/** @typedef {import("./messages.js").MessageKey} MessageKey */

/**
 * What the browser does to the microphone's sound before it is sent.
 *
 * @typedef {object} Tuning
 * @property {boolean} echoCancellation
 * @property {boolean} noiseSuppression
 * @property {boolean} autoGainControl
 */

/**
 * Speech: people at a table, near and far. Music: the desk has done it all, and noise suppression eats music.
 *
 * @type {Record<"speech" | "music", Tuning>}
 */
export const PRESETS = {
  speech: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  music: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
};

/** @returns {boolean} whether this page may ask for a microphone at all (HTTPS or localhost) */
export function microphoneAllowed() {
  return window.isSecureContext && navigator.mediaDevices !== undefined;
}

/**
 * Labels are empty until the microphone has been allowed once.
 *
 * @returns {Promise<MediaDeviceInfo[]>}
 */
export async function listMicrophones() {
  if (!microphoneAllowed()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}

/**
 * @param {string} deviceId "" for the default
 * @param {Tuning} tuning
 * @returns {Promise<MediaStream>}
 */
export async function openMicrophone(deviceId, tuning) {
  /** @type {MediaTrackConstraints} */
  const audio = { ...tuning, channelCount: { ideal: 1 } };
  if (deviceId !== "") audio.deviceId = { exact: deviceId };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  // Tells the encoder what it will hear, without touching the session description.
  for (const track of stream.getAudioTracks()) track.contentHint = tuning.noiseSuppression ? "speech" : "music";
  return stream;
}

/**
 * @param {unknown} error from getUserMedia
 * @returns {MessageKey}
 */
export function microphoneProblem(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "publish.mic-none";
  if (name === "NotReadableError" || name === "AbortError") return "publish.mic-in-use";
  return "publish.mic-denied";
}
