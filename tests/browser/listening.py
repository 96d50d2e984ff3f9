"""What a page hears, measured in the page itself on the sound its audio element plays."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

PATIENCE_MS = 30_000

#: A level of a tone that is neither faint nor too loud, as the meters tell it.
LEVEL = re.compile("\N{MINUS SIGN}[12][0-9] dBFS$")

_HEAR = """async ([wanted, patience]) => {
  const audio = document.querySelector("audio");
  const context = new AudioContext({ sampleRate: 48000 });
  const analyser = context.createAnalyser();
  analyser.fftSize = 16384;
  analyser.smoothingTimeConstant = 0;
  let stream = null;
  let source = null;
  const bins = new Float32Array(analyser.frequencyBinCount);
  const deadline = performance.now() + patience;
  let loudest = { hertz: 0, decibels: -Infinity };
  let agreed = 0;
  while (agreed < 3 && performance.now() < deadline) {
    if (audio.srcObject !== stream && audio.srcObject?.getAudioTracks().length) {
      // The page has a new session: what counts is what its visitor hears now.
      source?.disconnect();
      stream = audio.srcObject;
      source = context.createMediaStreamSource(stream);
      source.connect(analyser);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    analyser.getFloatFrequencyData(bins);
    const at = bins.reduce((best, value, index) => (value > bins[best] ? index : best), 0);
    loudest = { hertz: at * context.sampleRate / analyser.fftSize, decibels: bins[at] };
    agreed = Math.abs(loudest.hertz - wanted) < 6 && loudest.decibels > -50 ? agreed + 1 : 0;
  }
  void context.close();  // not awaited: a browser whose audio service does not answer would keep the test for ever
  return loudest;
}"""


def expect_state(page: Page, state: str) -> None:
    """Wait until the page is in `state`, as its visitor sees it."""
    expect(page.locator("body")).to_have_attribute("data-state", state, timeout=PATIENCE_MS)


def expect_tone(page: Page, hertz: int) -> None:
    """Wait until the strongest frequency of the decoded sound has been `hertz` three times in a row."""
    heard = page.evaluate(_HEAR, [hertz, PATIENCE_MS])
    assert abs(heard["hertz"] - hertz) < 6, heard
    assert heard["decibels"] > -50, heard


_STRENGTHS = """async ([selector, hertz]) => {
  const audio = document.querySelector(selector);
  const context = new AudioContext({ sampleRate: 48000 });
  const analyser = context.createAnalyser();
  analyser.fftSize = 16384;
  analyser.smoothingTimeConstant = 0;
  context.createMediaStreamSource(audio.srcObject).connect(analyser);
  await new Promise((resolve) => setTimeout(resolve, 800));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  void context.close();
  const at = (frequency) => Math.round(frequency * analyser.fftSize / 48000);
  return hertz.map((frequency) => Math.max(...bins.slice(at(frequency) - 2, at(frequency) + 3), -200));
}"""


def hears(page: Page, *hertz: int, of: str = "audio") -> list[bool]:
    """Whether each of these tones is in the decoded sound that the page's element `of` plays now."""
    expect(page.locator(f"{of}")).to_have_js_property("paused", False, timeout=PATIENCE_MS)
    return [level > -60 for level in page.evaluate(_STRENGTHS, [of, list(hertz)])]
