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

  const copy = async (button) => {
    const code = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // no clipboard without https: select it, so that the user's own keys copy it
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
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
