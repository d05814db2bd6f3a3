"use strict";
// Says in words, below the choice of a crontab, when it runs.
{
  const readable = JSON.parse(document.getElementById("readable-crontabs").textContent);
  const choice = document.getElementById("id_crontab");
  const row = document.querySelector(".field-crontab_translation");
  const help = document.querySelector(".field-crontab .help");
  if (row) {
    row.hidden = true;
  }
  if (choice && help) {
    const words = help.appendChild(document.createElement("div"));
    const say = () => {
      words.textContent = readable[choice.value] ? `Runs: ${readable[choice.value]}` : "";
    };
    choice.addEventListener("change", say);
    say();
  }
}
