-- text.lua TOKENIZER BASE -- text.py's other half: compares what the files BASE.* say with ours.
package.path = "tests/spec/?.lua;" .. package.path
local ml = require "moonlit"
local spans_like = require "spans"

local path, base = arg[1], arg[2]
local tok = ml.must(ml.text.load(path))

local function read(name)
  local file = assert(io.open(base .. "." .. name, "rb"))
  local s, list, at = file:read "a", {}, 1
  file:close()
  while at <= #s do list[#list + 1], at = ("<s4"):unpack(s, at) end
  return list
end

local function ids_of(s)
  local ids = {}
  for i = 1, #s // 4 do ids[i] = ("<i4"):unpack(s, 4 * i - 3) end
  return ids
end

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local shown = {}
local function show(what, text, want, got)
  shown[what] = (shown[what] or 0) + 1
  if shown[what] > 3 then return end
  io.stderr:write(("\n%s: %q\n  theirs %s\n  ours   %s\n"):format(what, text,
    type(want) == "table" and table.concat(want, " ") or ("%q"):format(want),
    type(got) == "table" and table.concat(got, " ") or ("%q"):format(got)))
end

-- what the streaming decoder makes of ids; it never gives a part of a character
local function streamed(ids)
  local put, out = tok:decoder(), {}
  for k, id in ipairs(ids) do out[k] = put(id) end
  return table.concat(out) .. put(nil)
end

local texts = read "texts"
local wrong = { ids = 0, special = 0, spans = 0, streamed = 0, decoded = 0, back = 0, broken = 0 }
local plain, default, decoded = read "plain", read "default", read "decoded"
local spans = read "spans"
local ours = tok:encode_all(texts)
local ours_special = tok:encode_all(texts, { special = true, add = true })
local exact = tok:is_exact()
-- behind a byte that no token stands for, which is left out, their spans are those of other bytes
local gone = tok:missing():gsub("%W", "%%%0")
local function lacks(s) return gone ~= "" and s:find("[" .. gone .. "]") end
for i, s in ipairs(texts) do
  local want, want_special = ids_of(plain[i]), ids_of(default[i])
  if not same(want, ours[i]) then
    wrong.ids = wrong.ids + 1
    show("plain", s, want, ours[i])
  end
  if not same(want_special, ours_special[i]) then
    wrong.special = wrong.special + 1
    show("special", s, want_special, ours_special[i])
  end
  if spans[i] and not lacks(s) then
    local _, info = tok:encode(s, { special = true, spans = true })
    local want_spans = ids_of(spans[i])
    local got = spans_like(want_spans, s, info.spans)
    if not same(want_spans, got) then
      wrong.spans = wrong.spans + 1
      show("spans", s, want_spans, got)
    end
  end
  local back = tok:decode(want_special)
  if i % 10 == 0 and streamed(want_special) ~= back then wrong.streamed = wrong.streamed + 1 end
  if back ~= decoded[i] then
    wrong.decoded = wrong.decoded + 1
    show("decode", s, decoded[i], back)
  end
  if exact and tok:decode(ours[i]) ~= s then wrong.back = wrong.back + 1 end
end
local broken, broken_ids = read "broken", read "broken_ids"
for i, s in ipairs(broken) do
  local ids = tok:encode(s)
  if exact and tok:decode(ids) ~= s then wrong.back = wrong.back + 1 end
  if broken_ids[i] and not same(ids_of(broken_ids[i]), ids) then
    wrong.broken = wrong.broken + 1
    show("broken", s, ids_of(broken_ids[i]), ids)
  end
end
print(("%d texts, %d with other ids, %d with special tokens, %d decoded otherwise, %d streamed "
  .. "otherwise, %d of %d other spans; %d byte strings, %d otherwise; %d not given back"):format(
  #texts, wrong.ids, wrong.special, wrong.decoded, wrong.streamed, wrong.spans, #spans, #broken,
  wrong.broken, wrong.back))
for _, n in pairs(wrong) do
  if n > 0 then os.exit(1) end
end
