/**
 * Finding elements that the page is known to have.
 *
 * @module dom
 */

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

/**
 * Sets text only when it changed, so that a live region speaks once.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * The definition list of a details block.
 *
 * @param {HTMLElement} list a <dl>
 * @param {ReadonlyArray<readonly [term: string, value: string]>} rows
 */
export function fillFigures(list, rows) {
  if (list.children.length !== rows.length) {
    list.replaceChildren(...rows.map(() => {
      const row = document.createElement("div");
      row.append(document.createElement("dt"), document.createElement("dd"));
      return row;
    }));
  }
  rows.forEach(([term, value], at) => {
    const [dt, dd] = list.children[at]?.children ?? [];
    if (dt !== undefined && dd !== undefined) {
      setText(dt, term);
      setText(dd, value);
    }
  });
}
