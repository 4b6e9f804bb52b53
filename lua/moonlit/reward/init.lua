--- What a sample is worth. A reward is a function from a sample of ml.rl.rollout to a number, or to
--- named parts:
---
---   local function short(s) return s.tokens < 20 and 1 or 0 end
---   local function both(s) return { full = s.stopped and 1 or 0, short = short(s) } end
---
--- Built in are exact, numeric, format, length, repetition (each makes a function from options) and
--- model (a reward model, which judges all samples at once). combine adds parts up with weights:
---
---   local reward = ml.reward.combine { numeric = 1, short = { weight = 0.1, reward = short },
---                                      format = { weight = 0.2, pattern = "So %d+%." } }
---   local stats = ml.reward.score(reward, samples)       -- samples[i].reward, .parts
---
--- A reward that returns nil or NaN, or raises, is an error that names it and the prompt.
local combine = require "moonlit.reward.combine"
local options = require "moonlit.options"

local functions = { combine = combine.combine, score = combine.score }
local modules = combine.builtin

return setmetatable({}, {
  __name = "moonlit.reward",
  __index = function(reward, name)
    local value = functions[name] or modules[name] and require(modules[name])
    if not value then
      local known = options.keys(modules)
      for _, k in ipairs(options.keys(functions)) do known[#known + 1] = k end
      error("moonlit.reward has no " .. options.unknown(name, known), 2)
    end
    reward[name] = value
    return value
  end,
})
