// Draws the figures of a page from their Vega-Lite specifications, and makes its copy buttons work.
"use strict";
(() => {
  const failed = (holder, error) => {
    // the table below the figure holds the same numbers
    holder.closest("figure").querySelector("details").open = true;
    holder.hidden = true;
    console.error(error);
  };

  const draw = async (holder) => {
    const spec = JSON.parse(document.getElementById(holder.dataset.figure).textContent);
    await vegaEmbed(holder.firstElementChild, spec, {
      ast: true, // interpreted: the page forbids eval
      renderer: "svg",
      actions: false,
      tooltip: false,
      defaultStyle: false,
      logLevel: vega.Error,
    });
    holder.dataset.drawn = "yes";
  };

  const drawAll = async () => {
    for (const holder of document.querySelectorAll("[data-figure]")) {
      try {
        await draw(holder);
      } catch (error) {
        failed(holder, error);
      }
    }
    performance.mark("drawn");
    document.documentElement.dataset.ready = "yes";
  };

  // what is read out begins with what is seen
  const say = (button, word) => {
    button.textContent = word;
    button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^[^:]*/, word));
  };

  const copy = async (button) => {
    const code = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(code.textContent);
      say(button, "Copied");
    } catch {
      // no clipboard without https: select it, so that the user's own keys copy it
      getSelection().selectAllChildren(code);
      say(button, "Selected");
    }
    setTimeout(() => say(button, "Copy"), 2000);
  };

  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  // what is closed would be missing on paper
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details[data-print]")) part.open = true;
  });
  drawAll();
})();
