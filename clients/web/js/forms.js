/**
 * The forms that several pages have: they are written once, here, and each page says only where they stand. Their
 * texts are those of `messages.js`, which `Translator.apply` fills in.
 *
 * @module forms
 */

/** Where the sound comes from: a microphone with its tuning, or a file. `SourcePanel` works it. */
export const SOURCE_FORM = `
  <p id="insecure" class="panel warning" data-i18n="publish.insecure" hidden></p>

  <fieldset class="source">
    <legend data-i18n="publish.source"></legend>
    <div class="segments">
      <label><input id="source-microphone" type="radio" name="source" checked><span data-i18n="publish.microphone"></span></label>
      <label><input id="source-file" type="radio" name="source"><span data-i18n="publish.file"></span></label>
    </div>

    <div id="panel-microphone" class="source-panel">
      <div class="field">
        <label for="device" data-i18n="publish.device"></label>
        <div class="with-button">
          <select id="device"><option value="" data-i18n="publish.device-default"></option></select>
          <button id="test" class="secondary" type="button"></button>
        </div>
      </div>
      <fieldset class="field plain">
        <legend data-i18n="publish.preset"></legend>
        <div class="choices">
          <label><input id="preset-speech" type="radio" name="preset" checked><span data-i18n="publish.preset-speech"></span></label>
          <label><input id="preset-music" type="radio" name="preset"><span data-i18n="publish.preset-music"></span></label>
        </div>
      </fieldset>
      <details class="tuning">
        <summary data-i18n="publish.tuning"></summary>
        <div class="switch">
          <input id="echo" type="checkbox" role="switch" checked aria-describedby="echo-help">
          <label for="echo" data-i18n="publish.echo"></label>
          <p id="echo-help" data-i18n="publish.echo-help"></p>
        </div>
        <div class="switch">
          <input id="noise" type="checkbox" role="switch" checked aria-describedby="noise-help">
          <label for="noise" data-i18n="publish.noise"></label>
          <p id="noise-help" data-i18n="publish.noise-help"></p>
        </div>
        <div class="switch">
          <input id="gain" type="checkbox" role="switch" checked aria-describedby="gain-help">
          <label for="gain" data-i18n="publish.gain"></label>
          <p id="gain-help" data-i18n="publish.gain-help"></p>
        </div>
      </details>
    </div>

    <div id="panel-file" class="source-panel" hidden>
      <div class="file">
        <input id="file-input" class="visually-hidden" type="file" accept="audio/*,video/mp4,.mp3,.m4a,.aac,.wav,.ogg,.opus,.flac"
               aria-describedby="file-help file-name">
        <label for="file-input" class="secondary" data-i18n="publish.choose-file"></label>
        <p id="file-name" class="file-name"></p>
        <p id="file-help" class="help" data-i18n="publish.file-help"></p>
      </div>
      <div id="file-transport" class="transport" hidden>
        <input id="file-position" type="range" min="0" max="1" step="any" value="0"
               data-i18n-attr="aria-label:publish.file-position">
        <span id="file-time" class="file-time">0:00 / 0:00</span>
      </div>
      <div class="switches">
        <div class="switch">
          <input id="file-repeat" type="checkbox" role="switch">
          <label for="file-repeat" data-i18n="publish.file-repeat"></label>
        </div>
        <div class="switch">
          <input id="file-monitor" type="checkbox" role="switch">
          <label for="file-monitor" data-i18n="publish.file-monitor"></label>
        </div>
      </div>
    </div>
  </fieldset>
`;

/** What asks for a token; the inside of the form. `TokenForm` works it. */
export const TOKEN_FORM = `
  <h2 data-i18n="token.title"></h2>
  <p id="token-help" data-i18n="token.help"></p>
  <label for="token-input" data-i18n="token.label"></label>
  <input id="token-input" type="password" autocomplete="off" autocapitalize="none" spellcheck="false"
         aria-describedby="token-help token-error">
  <p id="token-error" class="error" role="alert"></p>
  <button class="primary" type="submit" data-i18n="token.use"></button>
`;
