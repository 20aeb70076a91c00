// BokehJS does not read the colour of a legend's text from the style sheet.
const ink = getComputedStyle(document.body).color;
const charts = document.getElementById("charts").textContent.replaceAll("#012345", ink);
for (const [place, chart] of Object.entries(JSON.parse(charts))) {
  Bokeh.embed.embed_item(chart, place);
}
