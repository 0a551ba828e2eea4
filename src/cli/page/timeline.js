'use strict';
// The timeline of a profile. What the data hold stands in profile_page.h; times are nanoseconds.

const data = JSON.parse(document.getElementById('data').textContent);
const [PHASE, STEP, OP, LANE, START, LENGTH] = [0, 1, 2, 3, 4, 5];             // of an event
const [KIND, SCOPE, MODULE, OPERANDS, FLOP, BYTES, LINK, WAITS] = [0, 1, 2, 3, 4, 5, 6, 7];  // an op
const [COMPUTE, AUX, COMM, COPY] = [0, 1, 2, 3];
const GUTTER = 104, AXIS = 26, RULER = 14, STRIP = 6, GAP = 12;                // pixels
const $ = id => document.getElementById(id);

// ---- data ----

const ranks = data.ranks.map((rank, index) => {
  const phases = data.phases.map(() => data.lanes.map(() => []));  // events by phase and lane
  const found = new Map();                                        // event of 'phase/step/op'
  rank.events.forEach((event, i) => {
    phases[event[PHASE]][event[LANE]].push(i);
    found.set(event[PHASE] + '/' + event[STEP] + '/' + event[OP], i);
  });
  return {...rank, index, phases, found, meeting: new Map()};
});
data.meetings.forEach(([last, ...members]) => {
  const meeting = {last, members: []};
  for (let i = 0; i < members.length; i += 2) meeting.members.push([members[i], members[i + 1]]);
  const late = meeting.members.find(member => member[0] === last);
  meeting.start = ranks[last].events[late[1]][START];
  for (const [rank, event] of meeting.members) ranks[rank].meeting.set(event, meeting);
});

const opOf = (rank, event) => rank.ops[event[OP]];
const text = index => data.strings[index];
const layerOf = op => Number((/^layer (\d+)/.exec(text(op[SCOPE])) || [0, -1])[1]);

// The first i in [0, length) for which isBehind(i), or length.
function firstIndex(length, isBehind) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBehind(middle)) high = middle; else low = middle + 1;
  }
  return low;
}

// Nanoseconds of [from, to) in which this rank's communication is exposed.
function exposedIn(rank, from, to) {
  const list = rank.exposed;
  let sum = 0;
  for (let i = 2 * firstIndex(list.length / 2, i => list[2 * i + 1] > from); i < list.length && list[i] < to; i += 2) {
    sum += Math.min(list[i + 1], to) - Math.max(list[i], from);
  }
  return sum;
}

// ---- numbers ----

const round = (value, digits = 3) => value >= 10 ** digits ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(digits)));
function time(ns) {
  if (ns < 1e3) return round(ns) + ' ns';
  return ns < 1e6 ? round(ns / 1e3) + ' µs' : ns < 1e9 ? round(ns / 1e6) + ' ms' : round(ns / 1e9) + ' s';
}
function amount(value, unit) {
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P'];
  let i = 0;
  for (; value >= 1000 && i < prefixes.length - 1; ++i) value /= 1000;
  return `${round(value)} ${prefixes[i]}${unit}`;
}
const percent = share => (100 * share).toFixed(share > 0 && share < .1 ? 1 : 0) + ' %';
const escaped = value => String(value).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

// ---- state ----

let phase = 0;
let range = [0, 1];    // what is seen
let chosen = null;     // {rank, event} that was clicked
let hovered = null;
let colours = {};

const steps = () => data.phases[phase].steps;
const bounds = () => [steps()[0][1], steps().at(-1)[2]];
const length = step => step[2] - step[1];
const usedLanes = rank => data.lanes.map((_, lane) => lane).filter(lane => ranks.some(r => r.phases[phase][lane].length) && rank.phases[phase][lane].length);

function see(from, to) {
  const [first, last] = bounds();
  const span = Math.min(Math.max(to - from, 200), (last - first) * 1.06);
  const margin = (last - first) * .03;
  from = Math.min(Math.max(from, first - margin), last + margin - span);
  range = [from, from + span];
  draw();
  showChosen();
}
function seeStep(index) {
  const [, from, to] = steps()[index];
  see(from - (to - from) * .01, to + (to - from) * .01);
}
function seeAll() { const [from, to] = bounds(); see(from, to); }
const zoom = (factor, at) => see(at - (at - range[0]) * factor, at + (range[1] - at) * factor);
const pan = share => see(range[0] + share * (range[1] - range[0]), range[1] + share * (range[1] - range[0]));
function middleStep() {
  const middle = (range[0] + range[1]) / 2;
  const index = steps().findIndex(step => step[2] >= middle);
  return index < 0 ? steps().length - 1 : index;
}
// Whether no more than this step is seen.
const isStep = index => range[1] - range[0] < 1.5 * length(steps()[index]);

// ---- drawing ----

const canvas = $('lanes'), overview = $('overview');
let rows = [];  // {rank, lane, top, height} of every lane
let lanesHeight = 0;

function layOut() {
  const count = ranks.reduce((sum, rank) => sum + usedLanes(rank).length, 0);
  const height = Math.round(Math.min(34, Math.max(19, 360 / count - 6)));
  let top = AXIS;
  rows = [];
  for (const rank of ranks) {
    top += RULER + STRIP + 3;
    for (const lane of usedLanes(rank)) {
      rows.push({rank, lane, top, height});
      top += height + 2;
    }
    top += GAP;
  }
  lanesHeight = top;
  canvas.style.height = top + 'px';
}

function prepare(target) {
  const ratio = window.devicePixelRatio || 1;
  const {clientWidth: width, clientHeight: height} = target;
  if (target.width !== Math.round(width * ratio) || target.height !== Math.round(height * ratio)) {
    target.width = Math.round(width * ratio);
    target.height = Math.round(height * ratio);
  }
  const context = target.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = '11px system-ui, "DejaVu Sans", sans-serif';
  context.textBaseline = 'middle';
  return {context, width, height};
}

const xOf = (ns, width) => GUTTER + (ns - range[0]) / (range[1] - range[0]) * (width - GUTTER);
const nsAt = (x, width) => range[0] + (x - GUTTER) / (width - GUTTER) * (range[1] - range[0]);

const ATTENTION = new Set(['attention']);
const EXPERTS = new Set(['experts', 'shared expert', 'dense MLP']);
function computeColour(op) {
  const module = text(op[MODULE]);
  return ATTENTION.has(module) ? colours.attention : EXPERTS.has(module) ? colours.experts : colours.other;
}

// Calls visit(index, event, x, width) for the events of a lane that are seen and not hidden behind
// one pixel of their neighbours.
function eachSeen(rank, lane, width, visit) {
  const list = rank.phases[phase][lane], events = rank.events;
  const scale = (width - GUTTER) / (range[1] - range[0]);
  let drawn = -1;
  const first = firstIndex(list.length, i => events[list[i]][START] + events[list[i]][LENGTH] > range[0]);
  for (let i = first; i < list.length && events[list[i]][START] < range[1]; ++i) {
    const event = events[list[i]];
    const left = Math.max(xOf(event[START], width), GUTTER);
    const right = Math.min(left + Math.max(event[LENGTH] * scale, .6), width);
    if (right < drawn + .5 && event[LENGTH] * scale < .2) continue;
    visit(list[i], event, left, Math.min(xOf(event[START] + event[LENGTH], width), width) - left);
    drawn = right;
  }
}

function drawExposed(context, rank, width, top, height, from, to) {
  const list = rank.exposed;
  context.fillStyle = colours.exposed;
  for (let i = 2 * firstIndex(list.length / 2, i => list[2 * i + 1] > from); i < list.length && list[i] < to; i += 2) {
    const left = Math.max(xOf(Math.max(list[i], from), width), GUTTER);
    const right = Math.min(xOf(Math.min(list[i + 1], to), width), width);
    if (right > left) context.fillRect(left, top, right - left, height);
  }
}

// Where a collective waits for its last member: stripes.
function drawWaiting(context, from, to, width, top, height) {
  const left = Math.max(xOf(from, width), GUTTER), right = Math.min(xOf(to, width), width);
  if (right - left < 2) return;
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, height);
  context.clip();
  context.strokeStyle = colours.stripe;
  context.lineWidth = 2;
  context.beginPath();
  for (let x = left - height - (left % 6); x < right; x += 6) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}

const widths = new Map();
function drawName(context, name, left, width, middle, colour, around) {
  if (!widths.has(name)) widths.set(name, context.measureText(name).width);
  if (widths.get(name) + 8 > width) return;
  if (around) {  // legible on stripes
    context.strokeStyle = around;
    context.lineWidth = 4;
    context.strokeText(name, left + 4, middle + .5);
  }
  context.fillStyle = colour;
  context.fillText(name, left + 4, middle + .5);
}

function drawLane(context, {rank, lane, top, height}, width) {
  context.fillStyle = colours.idle;
  context.globalAlpha = .45;
  context.fillRect(GUTTER, top, width - GUTTER, height);
  context.globalAlpha = 1;
  eachSeen(rank, lane, width, (index, event, left, wide) => {
    const op = opOf(rank, event), end = event[START] + event[LENGTH];
    const gap = wide > 4 ? 1 : 0;  // so that neighbours are told apart
    context.fillStyle = lane === COMM ? colours.hidden : lane === COPY ? colours.copying : computeColour(op);
    context.globalAlpha = Math.min(1, Math.max(wide / .6, .15));  // or thin ops would look wide
    context.fillRect(left, top, Math.max(wide - gap, .6), height);
    context.globalAlpha = 1;
    if (lane === COMM) {
      drawExposed(context, rank, width, top, height, event[START], end);
      const meeting = rank.meeting.get(index);
      if (meeting) drawWaiting(context, event[START], Math.min(meeting.start, end), width, top, height);
    }
    const light = lane === COMPUTE || lane === AUX ? computeColour(op) === colours.other : false;
    const around = lane === COMM && (2 * exposedIn(rank, event[START], end) > event[LENGTH] ? colours.exposed : colours.hidden);
    if (wide > 24) drawName(context, text(op[KIND]), left, wide, top + height / 2, light ? '#10202c' : '#fff', around);
  });
}

// Which layer a rank's lane compute is in.
function drawRuler(context, rank, width, top) {
  const list = rank.phases[phase][COMPUTE], events = rank.events;
  let from = firstIndex(list.length, i => events[list[i]][START] + events[list[i]][LENGTH] > range[0]);
  const layerAt = i => layerOf(opOf(rank, events[list[i]]));
  while (from > 0 && layerAt(from - 1) === layerAt(Math.min(from, list.length - 1)) && events[list[from - 1]][STEP] === events[list[from]]?.[STEP]) --from;
  for (let i = from; i < list.length && events[list[i]][START] < range[1];) {
    const layer = layerAt(i), step = events[list[i]][STEP], start = events[list[i]][START];
    let end = start;
    for (; i < list.length && layerAt(i) === layer && events[list[i]][STEP] === step; ++i) end = events[list[i]][START] + events[list[i]][LENGTH];
    if (layer < 0) continue;
    const left = Math.max(xOf(start, width), GUTTER), right = Math.min(xOf(end, width), width);
    if (right <= left) continue;
    context.fillStyle = colours.layer;
    context.fillRect(left, top, Math.max(right - left - 1, .6), RULER - 2);
    const name = right - left > 60 ? `layer ${layer}` : String(layer);
    drawName(context, name, left, right - left, top + RULER / 2 - 1, colours.soft);
  }
}

// What a rank does as a whole: one line of the four sorts of time.
function drawStrip(context, rank, width, top, height) {
  context.fillStyle = colours.idle;
  for (const [, from, to] of steps()) {
    const left = Math.max(xOf(from, width), GUTTER), right = Math.min(xOf(to, width), width);
    if (right > left) context.fillRect(left, top, right - left, height);
  }
  for (const [lane, colour] of [[COPY, colours.copying], [COMPUTE, colours.experts], [AUX, colours.experts], [COMM, colours.hidden]]) {
    context.fillStyle = colour;
    eachSeen(rank, lane, width, (index, event, left, wide) => context.fillRect(left, top, wide, height));
  }
  drawExposed(context, rank, width, top, height, range[0], range[1]);
}

function tickLength(span, count) {
  const power = 10 ** Math.floor(Math.log10(span / count));
  return [1, 2, 5, 10].map(n => n * power).find(length => span / length <= count);
}

function drawAxis(context, width) {
  // Times count from the start of the step that fills the view, or else of the first one seen.
  const first = steps().findIndex(step => step[2] > range[0]);
  const step = isStep(middleStep()) || first < 0 ? middleStep() : first;
  const zero = steps()[step][1];
  const length = tickLength(range[1] - range[0], (width - GUTTER) / 110);
  context.textAlign = 'center';
  for (let n = Math.ceil((range[0] - zero) / length); zero + n * length < range[1]; ++n) {
    const x = xOf(zero + n * length, width);
    context.fillStyle = colours.line;
    context.fillRect(x, AXIS - 6, 1, lanesHeight - AXIS);
    context.fillStyle = colours.soft;
    const label = n < 0 ? '−' + time(-n * length) : n === 0 ? `step ${step + 1}` : time(n * length);
    if (x > GUTTER + 14) context.fillText(label, x, AXIS / 2 - 2);
  }
  context.textAlign = 'left';
}

function drawLinks(context, width, {rank, event: index}) {
  const event = rank.events[index];
  const middle = (r, lane) => { const row = rows.find(row => row.rank === r && row.lane === lane); return row.top + row.height / 2; };
  const arrow = (fromX, fromY, toX, toY) => {
    context.beginPath();
    context.moveTo(fromX, fromY);
    const bend = Math.max(Math.abs(toX - fromX) / 2, 14);
    context.bezierCurveTo(fromX + bend, fromY, toX - bend, toY, toX, toY);
    context.stroke();
    context.beginPath();
    context.arc(toX, toY, 2.5, 0, 2 * Math.PI);
    context.fill();
  };
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, width - GUTTER, lanesHeight);
  context.clip();
  context.strokeStyle = context.fillStyle = colours.text;
  context.lineWidth = 1.5;
  for (const awaited of opOf(rank, event)[WAITS]) {
    const other = rank.events[rank.found.get(event[PHASE] + '/' + event[STEP] + '/' + awaited)];
    if (other) arrow(xOf(other[START] + other[LENGTH], width), middle(rank, other[LANE]), xOf(event[START], width), middle(rank, event[LANE]));
  }
  const meeting = rank.meeting.get(index);
  for (const [member, i] of meeting ? meeting.members : []) {
    if (member === meeting.last) continue;
    const let_go = ranks[member].events[i];
    arrow(xOf(meeting.start, width), middle(ranks[meeting.last], COMM), xOf(let_go[START] + let_go[LENGTH], width), middle(ranks[member], COMM));
  }
  context.restore();
}

function outline(context, width, {rank, event: index}, colour) {
  const event = rank.events[index];
  if (event[PHASE] !== phase) return;
  const row = rows.find(row => row.rank === rank && row.lane === event[LANE]);
  const left = Math.max(xOf(event[START], width), GUTTER);
  const right = Math.min(xOf(event[START] + event[LENGTH], width), width);
  if (right < GUTTER || left > width) return;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.strokeRect(left - .5, row.top - .5, Math.max(right - left, 2), row.height + 1);
}

let awaited = false;  // a frame that will render
function draw() {
  if (!awaited) requestAnimationFrame(() => { awaited = false; render(); });
  awaited = true;
}

function render() {
  const {context, width} = prepare(canvas);
  drawAxis(context, width);
  for (const row of rows) drawLane(context, row, width);
  let last = null;
  for (const {rank, lane, top, height} of rows) {
    context.textAlign = 'left';
    if (rank !== last) {
      last = rank;
      drawRuler(context, rank, width, top - STRIP - RULER - 2);
      drawStrip(context, rank, width, top - STRIP - 2, STRIP);
      context.fillStyle = colours.text;
      context.font = '600 12px system-ui, "DejaVu Sans", sans-serif';
      context.fillText(`rank ${rank.rank}`, 0, top - STRIP - RULER / 2 - 1);
      context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    }
    context.fillStyle = colours.soft;
    context.fillText(data.lanes[lane], 14, top + height / 2 + .5);
  }
  const marked = chosen || hovered;
  if (chosen) outline(context, width, chosen, colours.text);
  if (hovered) outline(context, width, hovered, colours.text);
  if (marked && marked.rank.events[marked.event][PHASE] === phase) drawLinks(context, width, marked);
  drawOverview();
  [...$('steps').children].forEach((button, i) => button.setAttribute('aria-pressed', i > 0 ? middleStep() === i - 1 && isStep(i - 1) : range[1] - range[0] >= bounds()[1] - bounds()[0]));
}

// All of the phase, a strip a rank: drawn once for each phase, width and theme, as it takes long.
const band = {canvas: document.createElement('canvas'), key: ''};
function drawBand(width, height) {
  const key = [phase, overview.width, colours.text].join();
  if (band.key === key) return;
  band.key = key;
  [band.canvas.width, band.canvas.height] = [overview.width, overview.height];
  const context = band.canvas.getContext('2d');
  context.scale(overview.width / width, overview.height / height);
  const each = Math.min(10, (height - 4) / ranks.length);
  const top = (height - each * ranks.length) / 2;
  ranks.forEach((rank, i) => drawStrip(context, rank, width, top + i * each, Math.max(each - 1, 1)));
}

// The band, with a frame around what is seen below.
function drawOverview() {
  const {context, width, height} = prepare(overview);
  const seen = range, [first, last] = bounds(), margin = (last - first) * .03;
  range = [first - margin, last + margin];
  drawBand(width, height);
  const left = Math.max(xOf(seen[0], width), GUTTER), right = xOf(seen[1], width);
  range = seen;
  context.drawImage(band.canvas, 0, 0, width, height);
  context.fillStyle = colours.soft;
  context.fillText('all steps', 0, height / 2);
  context.fillStyle = colours.veil;
  context.fillRect(GUTTER, 0, left - GUTTER, height);
  context.fillRect(right, 0, width - right, height);
  context.strokeStyle = colours.text;
  context.lineWidth = 1.5;
  context.strokeRect(left, 1, Math.max(right - left, 3), height - 2);
}

// ---- the tip ----

function tipOf({rank, event: index}) {
  const event = rank.events[index], op = opOf(rank, event), end = event[START] + event[LENGTH];
  const lines = [];
  const add = (name, value) => lines.push(`<dt>${name}</dt><dd>${value}</dd>`);
  add('runs', `<b>${time(event[LENGTH])}</b> from ${time(event[START] - steps()[event[STEP]][1])} on`);
  if (event[LANE] === COMM) {
    const exposed = exposedIn(rank, event[START], end);
    add('hidden', `${time(event[LENGTH] - exposed)}, exposed ${time(exposed)}`);
    const meeting = rank.meeting.get(index);
    const late = meeting ? Math.min(meeting.start, end) - event[START] : 0;
    if (meeting && meeting.last === rank.index) add('meets', 'came last: the others waited for it');
    else if (late > 0) add('meets', `<span class="late">waits ${time(late)} for rank ${ranks[meeting.last].rank}</span>, then ${time(end - meeting.start)}`);
  }
  const seconds = event[LENGTH] / 1e9;
  if (op[FLOP]) add('computes', `${amount(op[FLOP], 'FLOP')}, ${amount(op[FLOP] / seconds, 'FLOP/s')}`);
  if (op[BYTES]) add('moves', `${amount(op[BYTES], 'B')}, ${amount(op[BYTES] / seconds, 'B/s')}`);
  if (op[LINK]) add('sends', `${amount(op[LINK], 'B')} to other ranks, ${amount(op[LINK] / seconds, 'B/s')}`);
  for (const awaited of op[WAITS]) {
    const other = rank.events[rank.found.get(event[PHASE] + '/' + event[STEP] + '/' + awaited)];
    if (other) add('awaits', `${escaped(text(opOf(rank, other)[KIND]))} of lane ${data.lanes[other[LANE]]}, ended ${time(Math.max(event[START] - other[START] - other[LENGTH], 0))} before`);
  }
  const list = rank.phases[phase][event[LANE]];
  const before = rank.events[list[list.indexOf(index) - 1]];
  if (before && before[STEP] === event[STEP]) add('lane', `idle for ${time(Math.max(event[START] - before[START] - before[LENGTH], 0))} before`);
  return `<b>${escaped(text(op[KIND]))}</b> <span class="soft">${escaped(text(op[SCOPE]))}</span>
    <div class="soft">rank ${rank.rank}, lane ${data.lanes[event[LANE]]}, step ${event[STEP] + 1}</div>
    <dl>${lines.join('')}</dl><pre>${escaped(text(op[OPERANDS]))}</pre>`;
}

function showTip(what, x, y) {
  const tip = $('tip');
  tip.hidden = !what;
  if (!what) return;
  tip.innerHTML = tipOf(what);
  const {offsetWidth: width, offsetHeight: height} = tip;
  tip.style.left = (x + 16 + width < innerWidth ? x + 16 : Math.max(x - width - 16, 4)) + 'px';
  tip.style.top = Math.max(Math.min(y + 16, innerHeight - height - 8), 4) + 'px';
}

function findAt(x, y) {
  const row = rows.find(row => y >= row.top - 1 && y <= row.top + row.height + 1);
  if (!row || x < GUTTER) return null;
  const width = canvas.clientWidth, events = row.rank.events, list = row.rank.phases[phase][row.lane];
  const from = nsAt(x - 2, width), to = nsAt(x + 2, width);
  const i = firstIndex(list.length, i => events[list[i]][START] + events[list[i]][LENGTH] > from);
  return i < list.length && events[list[i]][START] < to ? {rank: row.rank, event: list[i]} : null;
}

// ---- the parts around the timeline ----

function showSummary() {
  const report = data.phases[phase], count = steps().length, wall = report.wall_ns;
  const sum = key => report.ranks.reduce((total, rank) => total + rank.occupancy_ns[key], 0);
  const communication = sum('hidden') + sum('exposed');
  const figures = [[time(wall / count), 'a step of ' + report.work]];
  if (communication) {
    figures.push([percent(sum('hidden') / communication), 'of communication hidden']);
    figures.push([percent(sum('exposed') / wall / ranks.length), 'of the time communication is exposed']);
    const busy = report.ranks.map(rank => rank.occupancy_ns.computing + rank.occupancy_ns.hidden);
    const mean = busy.reduce((a, b) => a + b) / busy.length;
    figures.push([`rank ${report.slowest_rank}`, `computes longest, ${percent(Math.max(...busy) / mean - 1)} more than the mean`]);
  } else {
    figures.push([percent(sum('computing') / wall / ranks.length), 'of the time computing']);
  }
  $('figures').innerHTML = figures.map(([value, what]) => `<b>${value}</b><span>${escaped(what)}</span>`).join('');
  const parts = [['computing', 'experts'], ['hidden', 'hidden'], ['exposed', 'exposed'], ['copying', 'copying'], ['idle', 'idle']];
  $('bars').innerHTML = report.ranks.map((rank, i) => {
    const share = key => rank.occupancy_ns[key] / wall;
    const both = share('hidden') + share('exposed');
    const cells = parts.map(([key, colour]) => `<i class="${key}" title="${key}: ${time(rank.occupancy_ns[key] / count)} a step" style="width:${100 * share(key)}%;background:var(--${colour})">${share(key) > .035 ? percent(share(key)) : ''}</i>`).join('');
    const note = both ? `hides ${percent(share('hidden') / both)}` + (rank.waited_for >= 0 ? `, waits for rank ${rank.waited_for}` : '') : '';
    return `<div class="bar"><span>rank ${ranks[i].rank}</span><div class="parts">${cells}</div><span class="note">${note}</span></div>`;
  }).join('');
  const legend = [['attention', 'attention'], ['experts', 'experts, MLP'], ['other', 'other computation'], ['hidden', 'communication hidden'], ['exposed', 'communication exposed'], ['waiting', 'waiting for a late rank'], ['copying', 'copies'], ['idle', 'idle']];
  $('legend').innerHTML = legend.filter(([name]) => name === 'copying' ? sum('copying') > 0 : communication || !['hidden', 'exposed', 'waiting'].includes(name)).map(([name, what]) => `<span class="${name}" style="--swatch:var(--${name})">${what}</span>`).join('');
}

function showModules() {
  const report = data.phases[phase], count = steps().length;
  const block = (key, kind) => data.modules.filter(module => report.ranks.some(rank => rank[key][module])).map(module => {
    const cells = report.ranks.map(rank => {
      const ns = rank[key][module] || 0;
      return `<td style="--share:${100 * ns / report.wall_ns}%">${(ns / count / report.places[module] / 1e3).toFixed(1)}</td>`;
    });
    return `<tr class="${kind}"><th>${module}</th><th>× ${report.places[module]}</th>${cells.join('')}</tr>`;
  }).join('');
  const heads = ranks.map((rank, i) => `<th class="${ranks.length > 1 && i === report.slowest_rank ? 'slowest' : ''}">rank ${rank.rank}</th>`).join('');
  const whole = report.ranks.map(() => `<td>${(report.wall_ns / count / 1e3).toFixed(1)}</td>`).join('');
  const beside = block('beside_ns', 'beside');
  $('modules').innerHTML = `<h2>Modules <span class="soft">µs in each layer that has them, × the number of these layers; every moment counts once</span></h2>
    <table><tr><th></th><th></th>${heads}</tr>${block('modules_ns', '')}<tr class="sum"><th>step</th><th></th>${whole}</tr>
    ${beside ? `<tr><th class="soft" colspan="${2 + ranks.length}">beside these, on other lanes</th></tr>${beside}` : ''}</table>`;
  $('decisions').innerHTML = report.decisions.length === 0 ? '' : '<h2>Passes</h2><ul>' + report.decisions.map(([pass, choice, reason]) => `<li><b>${escaped(pass)}</b>: ${escaped(choice)} <span class="soft">(${escaped(reason)})</span></li>`).join('') + '</ul>';
}

function showPhase(index) {
  phase = index;
  chosen = hovered = null;
  showTip(null);
  [...$('phases').children].forEach((button, i) => button.setAttribute('aria-pressed', i === phase));
  $('steps').innerHTML = ['all steps', ...steps().map((_, i) => i + 1)].map(name => `<button type="button">${name}</button>`).join('');
  [...$('steps').children].forEach((button, i) => button.onclick = () => i === 0 ? seeAll() : seeStep(i - 1));
  showSummary();
  showModules();
  layOut();
  const byLength = steps().map((step, i) => [length(step), i]).sort((a, b) => a[0] - b[0]);
  seeStep(byLength[byLength.length >> 1][1]);
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const style = getComputedStyle(document.documentElement);
  for (const key of ['attention', 'experts', 'other', 'copying', 'hidden', 'exposed', 'idle', 'stripe', 'layer', 'line', 'text', 'soft', 'veil']) {
    colours[key] = style.getPropertyValue('--' + key).trim();
  }
}
const otherTheme = () => { setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'); draw(); };

// ---- mouse and keyboard ----

let dragged = null;  // {x, range} where it began
const at = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

canvas.addEventListener('wheel', event => {
  event.preventDefault();
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) pan(sideways / 1200);
  else zoom(Math.exp(event.deltaY / 400), nsAt(Math.max(at(event)[0], GUTTER), canvas.clientWidth));
}, {passive: false});
canvas.addEventListener('pointerdown', event => {
  canvas.setPointerCapture(event.pointerId);
  dragged = {x: event.clientX, range, moved: false};
});
canvas.addEventListener('pointermove', event => {
  if (dragged) {
    if (Math.abs(event.clientX - dragged.x) > 3) dragged.moved = true;
    if (!dragged.moved) return;
    canvas.classList.add('pans');
    showTip(null);
    const ns = (dragged.x - event.clientX) / (canvas.clientWidth - GUTTER) * (dragged.range[1] - dragged.range[0]);
    see(dragged.range[0] + ns, dragged.range[1] + ns);
    return;
  }
  const found = findAt(...at(event));
  if (found?.event !== hovered?.event || found?.rank !== hovered?.rank) { hovered = found; draw(); }
  showTip(found, event.clientX, event.clientY);
});
canvas.addEventListener('pointerup', event => {
  if (dragged && !dragged.moved) { chosen = findAt(...at(event)); draw(); }
  dragged = null;
  canvas.classList.remove('pans');
});
canvas.addEventListener('pointerleave', () => { hovered = null; showTip(null); draw(); });
canvas.addEventListener('dblclick', event => {
  const ns = nsAt(at(event)[0], canvas.clientWidth);
  const index = steps().findIndex(step => step[2] >= ns);
  seeStep(index < 0 ? steps().length - 1 : index);
});
const moveTo = event => {
  if (event.buttons !== 1) return;
  const [first, last] = bounds(), margin = (last - first) * .03, box = overview.getBoundingClientRect();
  const share = (event.clientX - box.left - GUTTER) / (box.width - GUTTER);
  const middle = first - margin + share * (last - first + 2 * margin), half = (range[1] - range[0]) / 2;
  see(middle - half, middle + half);
};
overview.addEventListener('pointerdown', event => { overview.setPointerCapture(event.pointerId); moveTo(event); });
overview.addEventListener('pointermove', moveTo);

// The next or previous op of the chosen one's lane.
function chooseNext(by) {
  const from = chosen || hovered || (rows.length ? {rank: rows[0].rank, event: rows[0].rank.phases[phase][rows[0].lane].find(i => rows[0].rank.events[i][START] >= range[0])} : null);
  if (!from || from.event === undefined) return;
  const list = from.rank.phases[phase][from.rank.events[from.event][LANE]];
  const event = chosen ? list[list.indexOf(from.event) + by] : from.event;
  if (event === undefined) return;
  chosen = {rank: from.rank, event};
  hovered = null;
  const [start, wide] = [from.rank.events[event][START], from.rank.events[event][LENGTH]];
  const span = range[1] - range[0];
  if (start < range[0] || start + wide > range[1]) return see(start - span / 2, start + span / 2);
  draw();
  showChosen();
}

// The tip of the chosen op, if the keyboard has chosen it and it is seen.
function showChosen() {
  if (!chosen || hovered) return;
  const event = chosen.rank.events[chosen.event], middle = event[START] + event[LENGTH] / 2;
  const box = canvas.getBoundingClientRect();
  const row = rows.find(row => row.rank === chosen.rank && row.lane === event[LANE]);
  const seen = row && middle >= range[0] && middle <= range[1];
  showTip(seen ? chosen : null, box.left + xOf(middle, canvas.clientWidth), box.top + (row ? row.top + row.height : 0));
}

// What the keyboard zooms around: the chosen op, or the middle.
function middle() {
  const event = chosen && chosen.rank.events[chosen.event];
  const seen = event && event[START] >= range[0] && event[START] <= range[1];
  return seen ? event[START] + event[LENGTH] / 2 : (range[0] + range[1]) / 2;
}
const KEYS = {
  ArrowLeft: () => pan(-.15), ArrowRight: () => pan(.15), '+': () => zoom(.7, middle()), '=': () => zoom(.7, middle()),
  '-': () => zoom(1 / .7, middle()), '0': seeAll, '[': () => seeStep(Math.max(middleStep() - 1, 0)),
  ']': () => seeStep(Math.min(middleStep() + 1, steps().length - 1)), j: () => chooseNext(1), k: () => chooseNext(-1),
  t: otherTheme, Escape: () => { chosen = hovered = null; showTip(null); draw(); },
};
addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
addEventListener('resize', () => { layOut(); draw(); });

$('theme').onclick = otherTheme;
$('model').textContent = data.model;
document.title = `${data.model}: braid profile`;
$('facts').innerHTML = data.facts.map(([name, value]) => `${escaped(name)} <b>${escaped(value)}</b>`).join(' · ');
$('phases').innerHTML = data.phases.map(report => `<button type="button">${escaped(report.phase)}</button>`).join('');
[...$('phases').children].forEach((button, i) => button.onclick = () => showPhase(i));
// #dark, #light and the name of a phase choose what is shown first.
const asked = location.hash.slice(1).split(',');
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
setTheme(asked.find(word => word === 'dark' || word === 'light') || (dark ? 'dark' : 'light'));
showPhase(Math.max(data.phases.findIndex(report => asked.includes(report.phase)), 0));
