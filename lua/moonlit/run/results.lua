--- results.json, what a report shows of a run:
---
---   run:results { title = "SFT",
---     metrics = { { name = "summary", title = "summaries right", value = 0.93, low = 0.89,
---                   high = 0.96, n = 200, unit = "%", better = "higher" } },
---     samples = { { prompt = "12 + 30 =", reply = "42" } }, notes = { "one epoch" } }
---
--- A metric needs its name and value; low and high bound it at 95 %, n is how many were counted. A
--- sample may have the answer that was looked for, and its score, 0 to 1.
local json = require "moonlit.json"
local options = require "moonlit.options"

local optional, required = options.optional, options.required
local METRIC = { name = required, value = required, title = optional, low = optional,
                 high = optional, n = optional, unit = optional, better = optional }
local SAMPLE = { prompt = required, reply = required, answer = optional, score = optional }
local better = { higher = true, lower = true }

-- blame whoever called run:results: this file's functions, the method, its caller
local LEVEL = 5

local function expect(good, who, what, got)
  if good then return end
  error(("%s: expected %s, got %s"):format(who, what, tostring(got)), LEVEL + 1)
end

local function finite(v) return type(v) == "number" and v == v and math.abs(v) < math.huge end

local function text(v, who)
  expect(type(v) == "string", who, "a string", v)
  return utf8.len(v) and v or (v:gsub("[\x80-\xff]", "?"))
end

local function metric(given, who)
  local m = options(given, METRIC, who, LEVEL + 1)
  m.name = text(m.name, who .. ".name")
  expect(finite(m.value), who .. ".value", "a finite number", m.value)
  for _, key in ipairs { "low", "high", "n" } do
    expect(m[key] == nil or finite(m[key]), who .. "." .. key, "a finite number", m[key])
  end
  expect(m.better == nil or better[m.better], who .. ".better", '"higher" or "lower"', m.better)
  m.title = text(m.title or m.name, who .. ".title")
  m.unit = m.unit and text(m.unit, who .. ".unit")
  return m
end

local function sample(given, who)
  local s = options(given, SAMPLE, who, LEVEL + 1)
  expect(s.score == nil or finite(s.score), who .. ".score", "a finite number", s.score)
  return { prompt = text(s.prompt, who .. ".prompt"), reply = text(s.reply, who .. ".reply"),
           answer = s.answer and text(s.answer, who .. ".answer"), score = s.score }
end

local function each(list, name, convert)
  expect(type(list) == "table", "run:results: " .. name, "a list", list)
  local out = json.array {}
  for i, v in ipairs(list) do out[i] = convert(v, ("run:results: %s[%d]"):format(name, i)) end
  return out
end

--- @param values table  see above
--- @param dir string    the run's directory: its last name, without a number before, is the stage
--- @return table what to write
return function(values, dir)
  local o = options(values, { stage = optional, title = optional, metrics = {}, samples = {},
                              notes = {} }, "run:results", LEVEL - 1)
  local stage = text(o.stage or dir:match("([^/]*)/*$"):gsub("^%d+%-", ""), "run:results: stage")
  return { stage = stage, title = text(o.title or stage, "run:results: title"),
           metrics = each(o.metrics, "metrics", metric),
           samples = each(o.samples, "samples", sample), notes = each(o.notes, "notes", text) }
end
