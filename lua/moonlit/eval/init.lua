--- Measuring a model: bits per byte of documents, choices by likelihood, tasks it answers in words,
--- and two baselines that cannot understand anything, run through the same scorers.
---
--- Every figure is the same at any batch size, to the last bit.
return {
  bits_per_byte = require "moonlit.eval.bits_per_byte",
  choice = require "moonlit.eval.choice",
  run = require "moonlit.eval.run",
  replies = require "moonlit.eval.replies",
  card = require "moonlit.eval.card",
  world = require "moonlit.eval.world",
  plain = require "moonlit.eval.plain",
  tasks = require "moonlit.eval.tasks",
  rouge_l = require("moonlit.eval.overlap").rouge_l,
  chrf = require("moonlit.eval.overlap").chrf,
  match = require "moonlit.eval.match",
  wilson = require("moonlit.eval.interval").wilson,
  baseline = {
    ngram = require "moonlit.eval.baseline.ngram",
    nearest = require "moonlit.eval.baseline.nearest",
  },
}
