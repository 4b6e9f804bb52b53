--- How fast a run is, beside how fast the machine could be: the share of its multiply-add peak that
--- goes into the model's own FLOPs.
local core = require "moonlit.core"

local speed = {}

local peaks = {} -- of this process: dtype -> operations a second, or false

local function peak(dtype)
  if dtype == "f64" then return nil end
  if peaks[dtype] == nil then peaks[dtype] = core.sys.peak(dtype) or false end
  return peaks[dtype] or nil
end

--- Training FLOPs of a token over the machine's peak, in seconds: times tokens a second it is the
--- share. nil where either is not known.
--- @param tracked table  { model =, data = }
function speed.seconds_per_token(tracked)
  local model, data = tracked.model, tracked.data
  local o = model and model.options
  if not (o and model.flops) then return nil end
  local length = data and math.type(data.length) == "integer" and data.length or o.context
  local most = peak(o.dtype)
  return most and model:flops({ length = length }).train / most
end

return speed
