--- moonlit eval RUN: measure a run's model on the tasks of ml.eval and on documents, as a table.
local argparse = require "argparse"
local fail = require "moonlit.fail"
local format = require "moonlit.run.report.format"
local json = require "moonlit.json"
local must = require "moonlit.must" "eval"
local options = require "moonlit.options"
local printable = require "moonlit.text.printable"
local subject = require "moonlit.cli.subject"

local eval = { summary = "measure a run's model" }

local BITS = "bits_per_byte" -- not a task: documents are predicted, nothing is answered

local function parser()
  local p = argparse("moonlit eval", "Measure a run's model.")
  p:argument("run", "a run's directory, a model's, or a pipeline's")
  p:option("--task", "names, with commas: tasks of ml.eval, " .. BITS .. "; all by default")
  p:option("--n", "items of each task, and documents", "200")
  p:option("--seed", "of the world that the items come from", "1")
  p:option("--data", "documents for " .. BITS .. " instead of the world's (.txt, .jsonl)")
  p:option("--out", "write the results to this file (JSON)")
  return p
end

-- names of what to measure, in order
local function chosen(o, talks, tasks)
  local known = options.keys(tasks)
  table.insert(known, 1, BITS)
  if not o.task then return talks and known or { BITS } end
  local names = {}
  for name in o.task:gmatch "[^,]+" do
    if name ~= BITS and not tasks[name] then
      fail("eval: unknown task %s", options.unknown(name, known))
    elseif name ~= BITS and not talks then
      fail("eval: %s needs a model with chat tokens", name)
    end
    names[#names + 1] = name
  end
  if #names == 0 then fail("eval: --task names no task") end
  return names
end

local function documents(ml, o, world, n)
  if not o.data then return world:documents("test", n) end
  return ml.data.read(o.data)
end

local function as_metric(r)
  return { name = r.task, title = r.title or r.task, value = r.value, low = r.low, high = r.high,
           n = r.n, unit = r.unit or "%", better = r.better or "higher" }
end

--- @param model Model
--- @param tok table
--- @param o {task: string?, n: integer, seed: integer, data: string?}
--- @return table  { stage =, title =, metrics =, samples =, notes = } as a run's results.json
function eval.measure(model, tok, o)
  local ml, tools = require "moonlit", require "moonlit.eval"
  local talks = subject.converses(tok)
  local chat = talks and ml.data.chat(tok)
  local world = ml.data.world { seed = o.seed }
  local out = { stage = "eval", title = "EVAL", metrics = json.array {},
                samples = json.array {}, notes = json.array {} }
  for _, name in ipairs(chosen(o, talks, tools.tasks)) do
    if name == BITS then
      local r = tools.bits_per_byte(model, tok, documents(ml, o, world, o.n))
      table.insert(out.metrics, { name = BITS, title = "documents", value = r.bits_per_byte,
                                  n = r.documents, unit = "bits/byte", better = "lower" })
    else
      local r = tools.run(model, chat, name, { world = world, part = "test", n = o.n,
        tools = { calculator = ml.data.tools.calculator } })
      table.insert(out.metrics, as_metric(r))
      for _, s in ipairs(r.samples or {}) do table.insert(out.samples, s) end
    end
  end
  return out
end

local function line_of(m)
  local interval = m.low and m.high and format.interval(m.low, m.high, m.unit) or ""
  return (("%-28s %18s   %-16s %s"):format(printable(m.title),
    format.value(m.value, m.unit), interval, m.n and ("n = %d"):format(m.n) or "")
    :gsub(" +$", ""))
end

--- @param args string[]
--- @param say? fun(line: string)  where the table goes; print by default
function eval.run(args, say)
  local o = parser():parse(args)
  o.n = subject.number(o.n, "--n", 1, "integer")
  o.seed = subject.number(o.seed, "--seed", 0, "integer")
  local model, tok = subject.load(o.run, "eval")
  local results = eval.measure(model, tok, o)
  for _, m in ipairs(results.metrics) do (say or print)(line_of(m)) end
  if not o.out then return end
  must(json.save(o.out, results))
end

return eval
