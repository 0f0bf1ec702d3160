// Looks again after the time that was told, a little earlier or later so that not all do at once.
"use strict";
const { again } = document.querySelector("main").dataset;
setTimeout(() => location.reload(), again * (.9 + Math.random() * .4) * 1000);
