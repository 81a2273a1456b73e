// Has the broker look at a policy while it is written. The answer is the same page that the button brings; its results are taken over.
"use strict";

const PAUSE = 350;
const form = document.querySelector("form[data-check]");
const results = document.getElementById("results");
let timer = 0;
let turn = 0;

async function check() {
  const mine = ++turn;
  results.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form)).toString();
    const told = await pageOf("POST", form.dataset.check, { body });
    if (mine === turn) renew(results, told.page);
  } catch (error) {
    if (mine === turn) results.replaceChildren(`not checked: ${error.message}`);
  }
  if (mine === turn) results.removeAttribute("aria-busy");
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(check, PAUSE);
});
