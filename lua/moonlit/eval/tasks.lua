--- The built-in tasks by name: ml.eval.tasks.summary.
return {
  summary = require "moonlit.eval.task.summary",
  translate = require "moonlit.eval.task.translate",
  questions = require "moonlit.eval.task.questions",
  questions_back = require "moonlit.eval.task.questions_back",
  calculator = require "moonlit.eval.task.calculator",
  sums = require "moonlit.eval.task.sums",
  sums_sampled = require "moonlit.eval.task.sums_sampled",
  style = require "moonlit.eval.task.style",
  gold = require "moonlit.eval.task.gold",
}
