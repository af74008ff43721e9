// Converse.js in headless Chromium, asked by JSON lines on standard input.
//
//   node converse.mjs NODE_MODULES
//
// Questions: {"op": "login", "user", "password", "socket"}   a websocket's address
//            {"op": "join", "room", "nick"}
//            {"op": "back", "pages"}    scrolls up until so many pages of the room's archive came
//            {"op": "read"}             scrolls from the present up to the first line there is
//            {"op": "shows", "text"}    waits until one of the latest lines has that text
//            {"op": "held"}             the lines that it holds, on the page or not
//            {"op": "away"}             waits until its connection is gone
//            {"op": "inside"}           waits until it is connected and in the room
//            {"op": "picture", "file"}
// Answers:   {"ok": ...} or {"error": WORDS}. "back" and "read" answer with what was to
//            be seen on the way, a list of lines for each view.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const modules = path.resolve(process.argv[2]);
const dist = path.join(modules, 'converse.js/dist');
const { chromium } = createRequire(path.join(modules, 'x.js'))('playwright-core');

const html = (o) => `<!doctype html><meta charset="utf-8"><title>Converse.js</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/converse.min.css">
<body class="converse-fullscreen"><converse-root></converse-root><script type="module">
import '/converse.min.js';
converse.plugins.add('inside', { initialize() { window.inside = this._converse; } });
converse.initialize({
  view_mode: 'fullscreen', assets_path: '/', whitelisted_plugins: ['inside'],
  websocket_url: ${JSON.stringify(o.socket)}, discover_connection_methods: false,
  authentication: 'login', auto_login: true, auto_reconnect: true,
  jid: ${JSON.stringify(`${o.user}@localhost/converse`)}, password: ${JSON.stringify(o.password)},
  persistent_store: 'sessionStorage', show_desktop_notifications: false, play_sounds: false, loglevel: 'warn',
});
</script>`;

const types = { '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm', '.svg': 'image/svg+xml' };

// The page and Converse.js's own files, and nothing else.
function serve(index) {
  const server = http.createServer((req, res) => {
    const name = path.normalize(decodeURIComponent(new URL(req.url, 'http://x').pathname));
    if (name === '/') return res.writeHead(200, { 'content-type': 'text/html' }).end(index);
    const file = path.join(dist, name);
    if (!file.startsWith(dist + path.sep) || !fs.statSync(file, { throwIfNoEntry: false })?.isFile()) return res.writeHead(404).end();
    res.writeHead(200, { 'content-type': types[path.extname(file)] ?? 'application/octet-stream' });
    fs.createReadStream(file).pipe(res);
  });
  return new Promise((ok) => server.listen(0, '127.0.0.1', () => ok(server)));
}

const patience = 30000;
let browser, page, room;
let pages = 0; // of the room's archive, that came

// view is what stands on the page, from top to bottom: lines, and null for a gap
// that has yet to be filled.
const view = () => page.evaluate(() => [...document.querySelectorAll('.chatbox:not(.hidden) converse-message-history :is(.chat-msg, converse-mam-placeholder)')]
  .map((e) => e.matches('.chat-msg') ? e.querySelector('.chat-msg__text')?.innerText ?? '' : null));

const place = () => page.evaluate(() => {
  const e = document.querySelector('.chatbox:not(.hidden) .chat-content__messages');
  return { top: e.scrollTop, all: e.scrollHeight, seen: e.clientHeight };
});

// climb turns the wheel upwards until done says so, and returns the views. It gives
// up when nothing has changed for as long as patience lasts: how long all of it takes
// is the machine's affair, and the caller's.
async function climb(done) {
  const views = [];
  await page.locator('.chatbox:not(.hidden) .chat-content__messages').hover();
  for (let end = Date.now() + patience, came = pages; ;) {
    const now = await view();
    const changed = JSON.stringify(now) !== JSON.stringify(views.at(-1));
    if (changed) views.push(now);
    if (await done(now)) return views;
    if (changed || pages > came) [end, came] = [Date.now() + patience, pages];
    if (Date.now() > end) throw new Error(`for ${patience} ms nothing changed, ${pages} pages of the archive came; the view begins ${JSON.stringify(now.slice(0, 3))}`);
    await page.mouse.wheel(0, -400);
    await page.evaluate(() => new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(ok))));
  }
}

const ops = {
  async login(o) {
    const server = await serve(html(o));
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium', handleSIGTERM: false,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
    });
    page = await browser.newPage({ viewport: { width: 1100, height: 720 } });
    page.on('console', (m) => console.error(m.type(), m.text()));
    page.on('pageerror', (e) => console.error('pageerror', e.message));
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
      const text = payload.toString();
      if (room && text.includes(room) && /<fin[ >]/.test(text)) pages++;
    }));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => window.inside?.api.connection.authenticated(), null, { timeout: patience });
    await page.evaluate(() => inside.api.waitUntil('rosterContactsFetched'));
  },
  async join(o) {
    room = o.room;
    await page.evaluate((o) => { inside.api.rooms.open(o.room, { nick: o.nick }, true); }, o);
    await ops.inside();
  },
  async inside() {
    await page.waitForFunction((room) => inside.api.connection.authenticated()
      && inside.state.chatboxes?.get(room)?.session?.get('connection_status') === converse.ROOMSTATUS.ENTERED, room, { timeout: patience });
    await page.locator('.chatbox:not(.hidden) converse-muc-message-form').waitFor({ timeout: patience });
  },
  back: (o) => climb(async () => pages >= o.pages),
  async read() {
    await page.evaluate(() => { document.querySelector('.chatbox:not(.hidden) .chat-content__messages').scrollTop = 0; });
    let last = '', still = 0;
    return climb(async (now) => {
      const { top, all, seen } = await place();
      const here = JSON.stringify([now, all]);
      still = here === last && seen - top >= all - 2 ? still + 1 : 0;
      last = here;
      return still > 5;
    });
  },
  // Only lines near what is in sight are on the page, so it looks at the latest.
  async shows(o) {
    await page.waitForFunction((text) => {
      document.querySelector('.chatbox:not(.hidden) .chat-content__messages').scrollTop = 0;
      return [...document.querySelectorAll('.chatbox:not(.hidden) .chat-msg__text')].some((e) => e.innerText === text);
    }, o.text, { timeout: patience });
  },
  held: () => page.evaluate((room) => inside.state.chatboxes.get(room).messages.map((m) => m.get('body') ?? null), room),
  pages: async () => pages,
  away: () => page.waitForFunction(() => !inside.api.connection.authenticated(), null, { timeout: patience }).then(() => true),
  picture: (o) => page.screenshot({ path: o.file }).then(() => true),
};

for await (const text of readline.createInterface({ input: process.stdin })) {
  const { op, ...o } = JSON.parse(text);
  let answer;
  try {
    answer = { ok: await ops[op](o) ?? true };
  } catch (e) {
    answer = { error: e.stack ?? String(e) };
  }
  console.log(JSON.stringify(answer));
}
await browser?.close();
process.exit(0);
