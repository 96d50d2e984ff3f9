/**
 * The browser's storage, which may be forbidden or full.
 *
 * @module storage
 */

/**
 * @param {"localStorage" | "sessionStorage"} storage
 * @param {string} key
 * @returns {string | null}
 */
export function stored(storage, key) {
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {"localStorage" | "sessionStorage"} storage
 * @param {string} key
 * @param {string} value
 */
export function store(storage, key, value) {
  try {
    window[storage].setItem(key, value);
  } catch {
    // Remembered by this page only.
  }
}
