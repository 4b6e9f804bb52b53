--- Comparing a reply with an answer: what the tasks' scorers share.
---
---   match.exact(" In short, Bala found a kite.", "In short, Bala found a kite.")    --> 1
---   match.number("7+5=12, 3+2+1=6. So 62.", "62")                                   --> 1
local match = {}

--- Without white space at either end.
function match.trim(s)
  return (s:gsub("^%s+", ""):gsub("%s+$", ""))
end

--- 1 if two texts are the same but for white space around them, else 0.
function match.exact(text, answer)
  return match.trim(text) == match.trim(answer) and 1 or 0
end

--- The last whole number of a text as its digits, "-1234" for "... is -1,234.", or nil.
function match.last_number(text)
  local last
  for sign, digits in text:gsub(",(%d%d%d)%f[%D]", "%1"):gmatch "(%-?)(%d+)" do
    last = sign .. digits
  end
  return last
end

--- 1 if the last whole number of a text is the answer, else 0.
function match.number(text, answer)
  return match.last_number(text) == answer and 1 or 0
end

return match
