"""The report page's style sheet: Korean colours by default, Western ones by a switch, light and dark."""

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f27;--dim:#687182;--line:#e4e7ec;--up:#d24f45;
--down:#2f6fd0;--p1:#d24f45;--p2:#e3a23c;--p3:#3aa6a0;--p4:#9aa4b5;--accent:#5b6cf0;--good:#1d8a5a}
@media (prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1a1e26;--ink:#e8ebf0;--dim:#939cad;--line:#2b313c;
--up:#f0746a;--down:#6aa2f5;--p1:#e0655b;--p2:#d9a248;--p3:#45b3ac;--p4:#6b7688;--accent:#8490ff;--good:#46c08a}}
:root:has(#west:checked){--up:#1d9a62;--down:#d24f45}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Apple SD Gothic Neo",
"Malgun Gothic","Noto Sans KR","NanumGothic",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1160px;margin:0 auto;padding:28px 20px 60px}
header{display:flex;justify-content:space-between;align-items:flex-end;gap:16px;flex-wrap:wrap;margin-bottom:18px}
h1{font-size:28px;line-height:1.2;margin:0;letter-spacing:-.02em}
h1 b{font-size:13px;font-weight:600;vertical-align:middle;padding:3px 10px;border-radius:99px;background:var(--accent);
color:#fff;letter-spacing:0}
h1 b.live{background:#c4161c}
header p,.note{color:var(--dim);margin:4px 0 0}
.legend{display:flex;gap:14px;align-items:center;color:var(--dim);flex-wrap:wrap}
.legend label{cursor:pointer;border:1px solid var(--line);border-radius:8px;padding:3px 10px;background:var(--card)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(245px,1fr));gap:12px;margin-bottom:12px}
.tile,section{background:var(--card);border:1px solid var(--line);border-radius:14px}
.tile{padding:13px 16px}
.tile h3{margin:0;font-size:12px;font-weight:600;color:var(--dim)}
.tile strong{display:block;font-size:21px;line-height:1.35;letter-spacing:-.01em}
.tile p{margin:0;color:var(--dim);font-size:12.5px}
section{padding:18px 20px 20px;margin-top:12px}
h2{font-size:16px;margin:0 0 12px}
h2 span{font-weight:400;color:var(--dim);font-size:13px;margin-left:6px}
h3{font-size:13px}
.up{color:var(--up)}.down{color:var(--down)}.good{color:var(--good);font-weight:600}.bad{color:var(--up);font-weight:600}
svg{display:block;width:100%;height:auto;overflow:visible}
.grid{stroke:var(--line);stroke-width:1}.tick{fill:var(--dim);font-size:11.5px}
.base,.limit{stroke:var(--dim);stroke-width:1.2;stroke-dasharray:5 4}
.up .L,.down .L{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
.up .A,.down .A{fill:currentColor;opacity:.13}
.dot{fill:currentColor;stroke:var(--card);stroke-width:2}
.price{fill:none;stroke:var(--ink);stroke-width:1.5;stroke-linejoin:round;opacity:.75}
.mark{stroke:var(--card);stroke-width:1.2}.mark.buy{fill:var(--up)}.mark.sell{fill:var(--down)}
polygon.P1{fill:var(--p1)}polygon.P2{fill:var(--p2)}polygon.P3{fill:var(--p3)}polygon.P4{fill:var(--p4)}
i.P1{background:var(--p1)}i.P2{background:var(--p2)}i.P3{background:var(--p3)}i.P4{background:var(--p4)}
i[class^=P]{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
.keys{display:flex;gap:18px;flex-wrap:wrap;margin:8px 0 0;color:var(--dim)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(470px,100%),1fr));gap:14px}
figure{margin:0;border:1px solid var(--line);border-radius:10px;padding:10px 12px 6px}
figcaption{font-weight:600;margin-bottom:4px}
figcaption>small{font-weight:400;float:right;font-size:12px;color:var(--dim)}
em{font-style:normal;font-size:11px;font-weight:500;border:1px solid var(--line);border-radius:6px;padding:1px 6px;
color:var(--dim)}
em.drawn{border-style:dashed}
.stock small{color:var(--dim);font-weight:400;margin-left:5px;font-size:11.5px}
.scroll{overflow-x:auto;max-height:520px;overflow-y:auto}
table{border-collapse:collapse;width:100%}
th{position:sticky;top:0;background:var(--card);text-align:left;color:var(--dim);font-weight:600;font-size:12px;
border-bottom:1px solid var(--line);padding:5px 10px;white-space:nowrap}
td{padding:5px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child td{border-bottom:0}
.n{text-align:right}
th:first-child,td:first-child{padding-left:0}
details{border-top:1px solid var(--line);padding:8px 0}details:first-of-type{border-top:0}
summary{cursor:pointer;font-weight:600;padding:2px 0}
.bar{display:inline-block;width:84px;height:7px;border-radius:4px;background:var(--line);margin-right:8px;
overflow:hidden;vertical-align:middle}
.bar i{display:block;height:100%;background:var(--accent);border-radius:4px}
pre{margin:0;padding:12px 14px;border-radius:10px;background:var(--bg);overflow-x:auto;
font:13px/1.5 ui-monospace,"Cascadia Mono",Menlo,Consolas,monospace}
@media print{body{background:#fff}section,.tile{break-inside:avoid}.scroll{max-height:none}}
"""
