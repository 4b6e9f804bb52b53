--- A run's numbers as TensorBoard reads them: an event file of scalars, a record a step.
---
---   file:write(tensorboard.header(wall))
---   file:write(tensorboard.scalars(wall, step, { loss = 1.5, lr = 1e-3 }))
---
--- A record is TFRecord: length (8 bytes, little endian), its masked CRC-32C, the data, their masked
--- CRC-32C. The data are a protobuf message tensorflow.Event { wall_time = 1 (double), step = 2
--- (varint), file_version = 3, summary = 5 { value = 1 { tag = 1, simple_value = 2 (float) } } }.
local core = require "moonlit.core"
local options = require "moonlit.options"

local tensorboard = {
  --- Its name in a run's directory: TensorBoard looks for "tfevents".
  name = "events.out.tfevents.moonlit",
}

-- ---- TFRecord ----

-- rotated and shifted, so that the CRC of data that hold CRCs is no accident
local function masked_crc(bytes)
  local c = core.sys.crc32c(bytes)
  return string.pack("<I4", ((c >> 15 | c << 17) + 0xa282ead8) & 0xffffffff)
end

local function record(data)
  local length = string.pack("<I8", #data)
  return length .. masked_crc(length) .. data .. masked_crc(data)
end

-- ---- protobuf: a field is its number and wire type, then the value ----

local VARINT, EIGHT, TEXT, FOUR = 0, 1, 2, 5

local function varint(n)
  local out = {}
  while n > 127 or n < 0 do
    out[#out + 1] = string.char(n & 127 | 128)
    n = n >> 7
  end
  out[#out + 1] = string.char(n)
  return table.concat(out)
end

local function field(number, wire, bytes)
  return varint(number << 3 | wire) .. (wire == TEXT and varint(#bytes) or "") .. bytes
end

local function event(wall, rest) return record(field(1, EIGHT, string.pack("<d", wall)) .. rest) end

--- The record an event file begins with.
--- @param wall number  seconds since 1970
function tensorboard.header(wall) return event(wall, field(3, TEXT, "brain.Event:2")) end

--- The record of a step.
--- @param wall number     seconds since 1970
--- @param step integer
--- @param values table<string, any>  those that are numbers, in alphabetical order, without "step"
function tensorboard.scalars(wall, step, values)
  local list = {}
  for _, name in ipairs(options.keys(values)) do
    if type(values[name]) == "number" and name ~= "step" then
      local value = field(1, TEXT, name) .. field(2, FOUR, string.pack("<f", values[name]))
      list[#list + 1] = field(1, TEXT, value)
    end
  end
  return event(wall, field(2, VARINT, varint(step)) .. field(5, TEXT, table.concat(list)))
end

return tensorboard
