// Audits one page with Lighthouse, in a browser that has seen nothing yet. Reads {url, signIn, phone, chrome, categories}
// as JSON, writes Lighthouse's report as JSON; of a phone's page with `usable`, the milliseconds until all of it works on
// a slow 3G line.

import { text } from "node:stream/consumers";

import lighthouse, { desktopConfig } from "lighthouse";
import puppeteer from "puppeteer-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function signIn(browser, link) {
  const page = await browser.newPage();
  await page.goto(link);
  await Promise.all([page.waitForNavigation(), page.click("main button")]);
  if (new URL(page.url()).pathname.startsWith("/sign-in")) throw new Error(`not signed in: ${page.url()}`);
  await page.close();
}

// A line as WebPageTest's "3G Slow": 400 kbit/s and 400 ms there and back; and a processor a quarter as fast.
const SLOW = { download: 400_000 / 8, upload: 400_000 / 8, latency: 400 };

async function usable(browser, url) {
  const page = await browser.newPage();
  await page.setCacheEnabled(false);
  await page.emulateNetworkConditions(SLOW);
  await page.emulateCPUThrottling(4);
  // Deferred scripts have run by then, and a frame shows what they did.
  await page.goto(url, { waitUntil: "domcontentloaded" });
  const taken = await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now())))),
  );
  await page.close();
  return Math.ceil(taken);
}

const job = JSON.parse(await text(process.stdin));
const browser = await puppeteer.launch({ executablePath: job.chrome, args: ARGUMENTS });
try {
  // Lighthouse clears what that has loaded before it measures, all but the cookies.
  if (job.signIn) await signIn(browser, job.signIn);
  const within = job.phone ? await usable(browser, job.url) : null;
  const options = { onlyCategories: job.categories, logLevel: "error" };
  const { lhr } = await lighthouse(job.url, options, job.phone ? undefined : desktopConfig, await browser.newPage());
  await new Promise((resolve) => process.stdout.write(JSON.stringify({ ...lhr, usable: within }), resolve));
} finally {
  await browser.close();
}
