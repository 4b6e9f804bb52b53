-- spans.lua -- where tokens stand, as Hugging Face's `tokenizers` tells it: first byte from 0 and
-- the one behind the last, moved to whole characters; what was put before a text stands for no
-- byte with us, for the first character there. For comparing: spans_like(theirs, text, ours).
return function(theirs, s, spans)
  local out = {}
  for i = 1, #spans, 2 do
    local a, b = spans[i], spans[i + 1]
    while a > 1 and a <= #s and s:byte(a) & 0xc0 == 0x80 do a = a - 1 end
    while b >= a and b < #s and s:byte(b + 1) & 0xc0 == 0x80 do b = b + 1 end
    if a > b and theirs[i] == a - 1 then b = theirs[i + 1] end
    out[i], out[i + 1] = a - 1, b
  end
  return out
end
