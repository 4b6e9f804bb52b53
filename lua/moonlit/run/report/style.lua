--- The style sheet of report.html: system fonts, light and dark, from a phone to a wide screen.
return [[
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #14181f; --soft: #5b6472; --rule: #dfe3e9;
  --accent: #2f5fd0; --second: #b4540a; --good: #0f7a45; --bad: #b3261e; --wash: #eef2fb;
  --track: #d5dae2;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1216; --card: #171b21; --ink: #e7eaef; --soft: #9aa4b2; --rule: #2a3039;
    --accent: #86a8ff; --second: #f0a35e; --good: #62c98f; --bad: #ff8a80; --wash: #1e2532;
    --track: #353d49;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main, header, footer { max-width: 1240px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 40px; }
h1 { font-size: 32px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.02em;
     overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 12px; letter-spacing: -0.01em; }
h3 { font-size: 16px; margin: 0 0 12px; }
h4 { font-size: 13px; margin: 16px 0 6px; color: var(--soft); font-weight: 600; }
p { margin: 0 0 12px; }
a { color: var(--accent); text-underline-offset: 2px; }
.soft, footer, figcaption span, .lead { color: var(--soft); }
.small { font-size: 13px; }
.num { font-variant-numeric: tabular-nums; }
nav { margin-top: 16px; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 15px; }
footer { padding-top: 36px; padding-bottom: 48px; font-size: 13px; }
code, pre { font-family: var(--mono); font-size: 13px; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.command { background: var(--wash); border-radius: 8px; padding: 10px 14px; margin: 16px 0 0; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px;
        padding: 18px 20px; min-width: 0; }
.grid { display: grid; gap: 16px;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.grid.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); }

table { width: 100%; border-collapse: collapse; font-size: 15px; }
th, td { text-align: left; vertical-align: top; padding: 10px 12px 10px 0;
         border-top: 1px solid var(--rule); }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-top: 0; padding-top: 0; font-size: 13px; font-weight: 600; color: var(--soft); }
tbody th { font-weight: 600; }
td.right, th.right { text-align: right; }
.scroll { overflow-x: auto; }
.interval { display: block; color: var(--soft); font-size: 12.5px; white-space: nowrap;
            font-weight: 400; }
.value { white-space: nowrap; }
.best { font-weight: 700; }
.better { color: var(--good); } .worse { color: var(--bad); } .same { color: var(--soft); }
.change { font-weight: 600; white-space: nowrap; }

svg { display: block; width: 100%; }
svg text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft);
           font-variant-numeric: tabular-nums; }
.chart { height: auto; max-width: 480px; }
.grid line, line.grid { stroke: var(--rule); stroke-width: 1; }
line.axis, .grid line.axis { stroke: var(--soft); stroke-width: 1; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
polyline.line { stroke: var(--accent); } circle.line { fill: var(--accent); }
polyline.second { stroke: var(--second); } circle.second { fill: var(--second); }
polyline.raw { stroke-width: 1; opacity: 0.4; }
figure { margin: 0; }
figcaption { font-size: 14px; margin-bottom: 8px; display: flex; flex-wrap: wrap;
             justify-content: space-between; gap: 0 12px; }
figcaption b { font-weight: 600; }
.key::before { content: ""; display: inline-block; width: 14px; height: 3px; border-radius: 2px;
               vertical-align: middle; margin-right: 6px; background: var(--accent); }
.key.second::before { background: var(--second); }
.whisker { height: 8px; max-width: 130px; margin-top: 6px; }
.bar { height: 10px; margin-top: 4px; border-radius: 3px; }
.track { fill: var(--track); }
.range { fill: var(--accent); opacity: 0.45; } .point { fill: var(--accent); }
.kept { fill: var(--good); } .dropped { fill: var(--second); }

dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 0;
     font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
details { margin-top: 12px; }
summary { cursor: pointer; font-size: 14px; color: var(--accent); }
details > *:not(summary) { margin-top: 10px; }
ul { margin: 8px 0 0; padding-left: 20px; font-size: 14px; }
.stack > * + * { margin-top: 16px; }

.said { border-left: 3px solid var(--rule); padding: 2px 0 2px 12px; margin-top: 10px; }
.said.reply { border-color: var(--accent); }
.said b { display: block; font-size: 12.5px; font-weight: 600; color: var(--soft); }
.said pre { font-family: inherit; font-size: 15px; }
.card > .said:first-child { margin-top: 0; }
.pair + .pair { border-top: 1px solid var(--rule); margin-top: 18px; padding-top: 10px; }

@media (max-width: 720px) {
  main, header, footer { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 24px; }
  h1 { font-size: 26px; }
  .card { padding: 14px; border-radius: 10px; }
  table.fold, table.fold tbody, table.fold tr, table.fold th, table.fold td { display: block; }
  table.fold thead { display: none; }
  table.fold tr { border-top: 1px solid var(--rule); padding: 12px 0; }
  table.fold tr:first-child { border-top: 0; padding-top: 0; }
  table.fold tr:last-child { padding-bottom: 0; }
  table.fold th, table.fold td { border: 0; padding: 2px 0; text-align: left; }
  table.fold tbody th { padding-bottom: 6px; }
  table.fold td { display: grid; grid-template-columns: 96px 1fr; gap: 10px; }
  table.fold td::before { content: attr(data-label); color: var(--soft); font-size: 13px;
                          overflow-wrap: anywhere; }
  table.fold td.empty { display: none; }
  .interval { display: inline; margin-left: 8px; }
  .whisker { max-width: none; }
}
@media print {
  body { background: none; } .card { break-inside: avoid; }
}
]]
