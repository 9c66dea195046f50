// Draws a Slack message the way Slack would: `node render.mjs MESSAGE.json PICTURE.png [light|dark]`.
//
// The packages are installed once, as the lock file pins them, into $PICTURE_MODULES (default target/picture). The
// browser is $CHROMIUM (default: `chromium` on the path; Debian: chromium fonts-liberation fonts-noto-color-emoji).
// The same message gives the same picture on any day and in any time zone: its own last moment counts as now, and its
// reader lives in Berlin.

import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = resolve(process.env.PICTURE_MODULES ?? join(HERE, "../../../target/picture"));
const WIDTH = 760;
const SCALE = 2;
const TIMEOUT_MS = 60_000;

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><rect width="36" height="36" rx="6" fill="#1d3557"/>
<path d="M8 15v6h4l9 6V9l-9 6z" fill="#fff"/><path d="M24 13q4 5 0 10M27 10q7 8 0 16" fill="none" stroke="#e63946" stroke-width="2.2"/></svg>`;
const CSS = `body { margin: 0; font-family: Lato, "Liberation Sans", "Noto Color Emoji", sans-serif }
  main { padding: 14px 18px 18px; width: ${WIDTH - 36}px } body.dark { background: #1a1d21 }
  section.slack_blocks_to_jsx { max-width: none !important }
  pre { word-break: normal !important; overflow-wrap: anywhere }`;

const [messagePath, picturePath, theme = "light"] = process.argv.slice(2);
if (!messagePath || !picturePath) {
  console.error("usage: node render.mjs MESSAGE.json PICTURE.png [light|dark]");
  process.exit(2);
}
install();
const message = JSON.parse(readFileSync(messagePath, "utf8"));
const work = mkdtempSync(join(tmpdir(), "picture-"));
try {
  const page = join(work, "message.html");
  writeFileSync(page, html(message));
  writeFileSync(picturePath, await photograph(pathToFileURL(page).href));
} finally {
  rmSync(work, { recursive: true, force: true });
}

function install() {
  const lock = join(HERE, "package-lock.json");
  const installed = join(MODULES, "package-lock.json");
  if (existsSync(installed) && readFileSync(lock).equals(readFileSync(installed)) && existsSync(join(MODULES, "node_modules"))) return;
  mkdirSync(MODULES, { recursive: true });
  copyFileSync(join(HERE, "package.json"), join(MODULES, "package.json"));
  const options = ["--ignore-scripts", "--no-audit", "--no-fund"];
  rmSync(installed, { force: true });
  writeFileSync(installed, readFileSync(lock));
  const npm = spawnSync("npm", ["ci", ...options], { cwd: MODULES, stdio: ["ignore", "ignore", "inherit"] });
  if (npm.status !== 0) {
    rmSync(installed, { force: true });
    throw new Error("npm ci failed");
  }
}

function html(message) {
  const moments = JSON.stringify(message).match(/(?<="timestamp":)\d+/g) ?? ["0"];
  freeze(Math.max(...moments.map(Number)) * 1000 + 60_000);
  const require = createRequire(join(MODULES, "package.json"));
  const { createElement } = require("react");
  const { renderToStaticMarkup } = require("react-dom/server");
  const { Message } = require("slack-blocks-to-jsx");
  const css = readFileSync(require.resolve("slack-blocks-to-jsx/dist/style.css"), "utf8");
  const logo = `data:image/svg+xml,${encodeURIComponent(LOGO)}`;
  const body = renderToStaticMarkup(createElement(Message, { blocks: message.blocks, name: "Stentor", logo, theme }));
  return `<!doctype html><meta charset="utf-8"><style>${css}${CSS}</style><body class="${theme}"><main>${body}</main>`;
}

/** Makes this moment now, for good. */
function freeze(now) {
  process.env.TZ = "Europe/Berlin";
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...args) {
      super(...(args.length > 0 ? args : [now]));
    }
    static now() {
      return now;
    }
  };
}

/** A PNG of the page's <main>. Talks to the browser over a pipe: no port, no driver. */
async function photograph(url) {
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
    `--user-data-dir=${join(work, "profile")}`];
  const browser = spawn(process.env.CHROMIUM ?? "chromium", flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const gone = new Promise((_, reject) => {
    browser.on("error", reject);
    browser.on("exit", (code) => reject(new Error(`the browser ended with ${code}`)));
    setTimeout(() => reject(new Error("the browser took too long")), TIMEOUT_MS).unref();
  });
  try {
    return await Promise.race([gone, take(devtools(browser), url)]);
  } finally {
    const ended = new Promise((done) => browser.on("exit", done));
    if (browser.exitCode === null && browser.kill()) await ended;
  }
}

async function take(call, url) {
  const { targetId } = await call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  const page = (method, params) => call(method, params, sessionId);
  await page("Emulation.setDeviceMetricsOverride", { width: WIDTH, height: 800, deviceScaleFactor: SCALE, mobile: false });
  await page("Page.navigate", { url });
  const measure = `new Promise((done) => {
    const size = () => { const { width, height } = document.querySelector("main").getBoundingClientRect(); return { width, height }; };
    const ready = () => document.fonts.ready.then(() => done(size()));
    document.readyState === "complete" ? ready() : addEventListener("load", ready);
  })`;
  const evaluate = () => page("Runtime.evaluate", { expression: measure, awaitPromise: true, returnByValue: true });
  let size;
  // The old page may still answer while the new one is on its way.
  while (!(size = (await evaluate().catch(() => undefined))?.result?.value)) await new Promise((done) => setTimeout(done, 50));
  const clip = { x: 0, y: 0, width: Math.ceil(size.width), height: Math.ceil(size.height), scale: 1 };
  const { data } = await page("Page.captureScreenshot", { format: "png", clip, captureBeyondViewport: true });
  return Buffer.from(data, "base64");
}

/** The DevTools protocol over file descriptors 3 and 4: JSON, each message ended by a NUL. */
function devtools(browser) {
  const [requests, answers] = [browser.stdio[3], browser.stdio[4]];
  const waiting = new Map();
  let last = 0;
  let buffered = "";
  answers.setEncoding("utf8");
  answers.on("data", (text) => {
    const parts = (buffered + text).split("\0");
    buffered = parts.pop();
    for (const { id, result, error } of parts.map((part) => JSON.parse(part))) {
      const { done, failed } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (error) failed?.(new Error(error.message));
      else done?.(result);
    }
  });
  return (method, params = {}, sessionId = undefined) => new Promise((done, failed) => {
    waiting.set(++last, { done, failed });
    requests.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  });
}
