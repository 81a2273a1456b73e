// What only the pages of a session hold: its half that is no cookie. A cookie goes to every port of its host, thus to whatever else serves
// there; what is kept here no other origin reads, and a port is part of an origin. It goes to the broker with every change.
"use strict";

const half = {
  get text() { return localStorage.getItem("half") ?? ""; },
  keep(text) { if (text) localStorage.setItem("half", text); },
};

// Every form, as it is sent or read by a script.
addEventListener("formdata", ({ target, formData }) => {
  if (target.getAttribute("method") === "post") formData.set("csrf", half.text);
});
