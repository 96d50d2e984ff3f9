/**
 * Keeps a phone's screen on while it is on air: a sleeping phone stops its microphone.
 *
 * @module wakelock
 */

export class WakeLock {
  constructor() {
    /** @type {WakeLockSentinel | null} */
    this.sentinel = null;
    this.wanted = false;
    // The system takes the lock away whenever the page is hidden.
    document.addEventListener("visibilitychange", () => void this.#update());
  }

  /** @param {boolean} wanted */
  keep(wanted) {
    if (this.wanted === wanted) return;
    this.wanted = wanted;
    void this.#update();
  }

  async #update() {
    if (!this.wanted) {
      await this.sentinel?.release().catch(() => undefined);
      this.sentinel = null;
    } else if (document.visibilityState === "visible" && "wakeLock" in navigator) {
      // Refused on a low battery; being on air does not depend on it.
      this.sentinel = await navigator.wakeLock.request("screen").catch(() => null);
    }
  }
}
