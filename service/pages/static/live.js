// Follows audits as they change, sends chosen files, and makes copy buttons work. Every page works without it.
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  // "failed" beside the verdict "fail" would read as the same.
  const wordOf = (event) => event.verdict ?? { failed: "could not run" }[event.status] ?? event.status;
  const isFinal = (status) => ["succeeded", "failed", "cancelled"].includes(status);

  // Browsers keep six connections to a host: only the page that is looked at holds one.
  const follow = (address, take, isOver) => {
    let source = null;
    const close = () => source?.close();
    const open = () => {
      close();
      if (document.hidden || isOver()) return;
      source = new EventSource(address());
      for (const kind of ["state", "progress"]) {
        source.addEventListener(kind, (message) => {
          take(JSON.parse(message.data));
          if (isOver()) close();
        });
      }
    };
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    addEventListener("pagehide", close);
    addEventListener("pageshow", (event) => event.persisted && open());
    open();
  };

  const words = (seconds) => {
    const whole = Math.max(0, Math.round(seconds));
    const minutes = Math.floor(whole / 60);
    if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
  };
  const percent = (event) => Math.round(event.progress.fraction * 100);
  const mark = (holder, event) => {
    const word = wordOf(event);
    const made = document.createElement("span");
    made.className = `mark ${event.verdict ?? { failed: "error" }[event.status] ?? event.status}`;
    made.textContent = word;
    holder.replaceChildren(made);
  };

  const followList = (list) => {
    const active = () => all("[data-active]", list);
    const titles = { opening: "opening", collecting: "running the model", checking: "checking", repairing: "repairing", diagnosing: "finding causes" };
    const take = (event) => {
      const row = all("[data-active]", list).find((each) => each.dataset.audit === event.audit_id);
      if (!row) return;
      mark(one("[data-mark]", row), event);
      one("progress", row).value = percent(event);
      one("[data-stage]", row).textContent = event.status === "running" ? titles[event.progress.stage] ?? "" : "";
      if (!isFinal(event.status)) return;
      one("[data-going]", row).remove();
      delete row.dataset.active;
      one("[data-news]", list).textContent = `Audit ${event.audit_id}: ${wordOf(event)}`;
    };
    const address = () => "/audits/events?" + active().map((row) => `id=${encodeURIComponent(row.dataset.audit)}`).join("&");
    if (active().length) follow(address, take, () => !active().length);
  };

  const followAudit = (section) => {
    const skew = Date.now() - Number(section.dataset.now);
    let started = section.dataset.started ? Number(section.dataset.started) : null;
    let attempt = null;
    let fraction = one("progress", section).value / 100;
    let over = false;
    const tick = () => {
      if (started === null) return;
      const elapsed = (Date.now() - skew - started) / 1000;
      one("[data-elapsed]", section).textContent = words(elapsed);
      one("[data-left]", section).textContent = fraction >= 0.05 ? `about ${words((elapsed * (1 - fraction)) / fraction)}` : "–";
    };
    const showStages = (event) => {
      const stages = all("li[data-stage]", section);
      const reached = stages.findIndex((stage) => stage.dataset.stage === event.progress.stage);
      stages.forEach((stage, place) => {
        stage.className = place < reached ? "done" : place === reached ? "current" : "";
        if (place === reached) stage.setAttribute("aria-current", "step");
        else stage.removeAttribute("aria-current");
        one("[data-detail]", stage).textContent = place === reached ? event.progress.detail ?? "" : "";
      });
    };
    const take = (event) => {
      if (isFinal(event.status)) {
        over = true;
        one("[data-news]", section).textContent = `The audit has ended: ${wordOf(event)}`;
        location.reload(); // to the report, or to why there is none
        return;
      }
      if (event.status === "running" && event.attempt !== attempt) {
        attempt = event.attempt;
        started ??= Date.parse(event.at);
      }
      fraction = event.progress.fraction;
      mark(one("[data-mark]", section), event);
      one("[data-title]", section).textContent = event.status === "queued" ? "Waiting for a worker" : "Under way";
      one("progress", section).value = percent(event);
      one("[data-percent]", section).textContent = `${percent(event)} %`;
      showStages(event);
      tick();
    };
    setInterval(tick, 1000);
    follow(() => `/audits/${encodeURIComponent(section.dataset.liveAudit)}/events`, take, () => over);
  };

  const send = async (chosen) => {
    const field = document.getElementById(chosen.dataset.sends);
    const told = one("small", chosen.closest(".send"));
    const button = one("button.action");
    const token = one("input[name=token]", chosen.form).value;
    const addresses = [];
    button.disabled = true;
    for (const file of chosen.files) {
      told.textContent = `Sending ${file.name} …`;
      try {
        const answer = await fetch(`/uploads?name=${encodeURIComponent(file.name)}`, {
          method: "POST",
          headers: { "X-Form-Token": token, "Content-Type": "application/octet-stream", Accept: "application/json" },
          body: file,
        });
        if (!answer.ok) throw new Error((await answer.json()).detail);
        addresses.push((await answer.json()).uri);
        told.textContent = `${file.name} was sent.`;
      } catch (error) {
        told.textContent = `${file.name} was not sent: ${error.message}`;
        break;
      }
    }
    button.disabled = false;
    if (addresses.length) field.value = addresses.join("\n");
  };

  const copy = async (button) => {
    const code = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without https
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };

  for (const button of all("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  for (const chosen of all("[data-sends]")) {
    chosen.closest(".send").hidden = false;
    chosen.addEventListener("change", () => send(chosen));
  }
  one("[data-focus]")?.focus();
  const list = one("[data-live-list]");
  if (list) followList(list);
  const audit = one("[data-live-audit]");
  if (audit) followAudit(audit);
  document.documentElement.dataset.ready = "yes";
})();
