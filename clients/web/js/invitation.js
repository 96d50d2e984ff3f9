/**
 * The dialog with an invitation: a QR code to be scanned from the chair's screen, and the link to be sent.
 *
 * @module invitation
 */

import { bindCopy } from "./copying.js";
import { byId, setText } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** Modules of white around the code (ISO/IEC 18004 §6.3.8). */
const QUIET_ZONE = 4;

export class InvitationDialog {
  /**
   * @param {import("./i18n.js").Translator} words
   * @param {() => void} ask asks the relay for an invitation
   */
  constructor(words, ask) {
    this.words = words;
    this.ask = ask;
    this.dialog = byId("invitation", HTMLDialogElement);
    this.code = byId("invitation-code", HTMLElement);
    this.link = byId("invitation-link", HTMLInputElement);
    this.share = byId("invitation-share", HTMLButtonElement);
    this.share.hidden = typeof navigator.share !== "function";
    this.share.addEventListener("click", () => void navigator.share({ url: this.link.value }).catch(() => undefined));
    bindCopy(words, this.link, byId("invitation-copy", HTMLButtonElement), "meeting.copy");
    byId("invitation-close", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
  }

  open() {
    this.link.value = "";
    this.code.replaceChildren();
    setText(byId("invitation-text", HTMLElement), this.words.text("meeting.invite-wait"));
    this.dialog.showModal();
    this.ask();
  }

  /** @param {import("./meetinglink.js").Invitation} invitation */
  show({ link, expires, qr }) {
    const time = new Intl.DateTimeFormat(this.words.language, { hour: "2-digit", minute: "2-digit" }).format(expires * 1000);
    setText(byId("invitation-text", HTMLElement), this.words.text("meeting.invite-text", { time }));
    this.link.value = link;
    const svg = document.createElementNS(SVG, "svg");
    const side = qr.size + 2 * QUIET_ZONE;
    svg.setAttribute("viewBox", `${-QUIET_ZONE} ${-QUIET_ZONE} ${side} ${side}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", this.words.text("meeting.invite-code"));
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", qr.path);
    svg.append(path);
    this.code.replaceChildren(svg);
  }
}
