"use strict";
// The worker behind the pages: it shows what is pushed, and it keeps the pages for when there is no line.

// "none": what the worker is made of is asked for anew each time, as it is itself. Some private windows allow none.
navigator.serviceWorker?.register("/service-worker.js", { updateViaCache: "none" }).catch(() => {});
