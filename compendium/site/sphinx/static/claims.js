// The filter of the table of claims. Without it the table is whole.
const form = document.getElementById("claims-filter");
if (form) {
  const rows = [...document.querySelectorAll("#claims tbody tr")];
  const show = () => {
    const wanted = [...new FormData(form)].filter(([, value]) => value);
    for (const row of rows) {
      row.hidden = wanted.some(([name, value]) => row.dataset[name] !== value);
    }
    const left = rows.filter((row) => !row.hidden).length;
    form.querySelector("output").textContent = `${left} of ${rows.length} verdicts`;
  };
  form.hidden = false;
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
}
