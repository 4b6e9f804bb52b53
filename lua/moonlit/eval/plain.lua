--- Stands in for a chat where a model knows no turns yet: an item's `prompt`, the beginning of a
--- document, is continued until the document ends. So a task is measured before and after a model
--- learns to talk, with one scorer.
---
---   ml.eval.run(base, ml.eval.plain(tok), "sums", { world = w })
local Plain = { plain = true }
Plain.__index = Plain
Plain.__name = "moonlit.Plain"

--- The ids of one user's message, behind <|endoftext|>.
function Plain:prompt(messages)
  local ids = self.tok:encode(messages[1].content)
  table.insert(ids, 1, self.stop[1])
  return ids
end

--- The text that was generated, and whether the document was ended.
function Plain:parse(ids)
  local n = #ids
  local stopped = ids[n] == self.stop[1]
  local text = self.tok:decode(table.move(ids, 1, stopped and n - 1 or n, 1, {}))
  return { role = "assistant", content = text }, stopped
end

--- @param tok Tokenizer  with <|endoftext|>
return function(tok)
  local stop = type(tok) == "table" and tok.id and tok:id "<|endoftext|>"
  if not stop then error("eval.plain: the tokenizer has no <|endoftext|>", 2) end
  return setmetatable({ tok = tok, stop = { stop } }, Plain)
end
