// Prism with the arguments given. Ends when its standard input does, so that it never outlives the test.
"use strict";

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

require("@stoplight/prism-cli/dist/index.js");
