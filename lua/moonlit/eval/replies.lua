--- A model's replies beside those of conversations held out.
---
---   local r = ml.eval.replies(model, chat, held, { rouge_l = ml.eval.rouge_l })
---   print(r.exact, r.rouge_l)            -- the share that is word for word right; the mean score
---
--- Each conversation is asked up to its last user's message, greedily; what its assistant says then
--- is the reference.
local converse = require "moonlit.generate.turns"

local function last_user(messages)
  for i = #messages, 1, -1 do
    if messages[i].role == "user" then return i end
  end
end

--- @param model Model
--- @param chat Chat
--- @param conversations { messages: table[] }[]  each with a user's message and a reply to it
--- @param scores? table<string, function>  name -> function(text, reference) -> number
--- @param opt? {tokens: integer?, batch: integer?}  of a reply at most (128); at once (32)
--- @return table  exact, and each score's mean; n; samples, the first three of them
return function(model, chat, conversations, scores, opt)
  local asked, wanted = {}, {}
  for i, c in ipairs(conversations) do
    local at = last_user(c.messages)
    local reply = at and c.messages[at + 1]
    if not reply or not reply.content then
      error(("eval.replies: conversation %d has no user's message with a reply"):format(i), 2)
    end
    asked[i] = table.move(c.messages, 1, at, 1, {})
    wanted[i] = reply.content
  end
  if #asked == 0 then error("eval.replies: no conversations", 2) end
  local out = { exact = 0, n = #asked, samples = {} }
  for name in pairs(scores or {}) do out[name] = 0 end
  local said = converse(model, chat, asked, { tokens = opt and opt.tokens or 128, temperature = 0,
                                              batch = opt and opt.batch or 32 })
  for i, c in ipairs(said) do
    local text = c.messages[1].content or ""
    out.exact = out.exact + (text == wanted[i] and 1 / #asked or 0)
    for name, score in pairs(scores or {}) do
      out[name] = out[name] + score(text, wanted[i]) / #asked
    end
    if i <= 3 then
      out.samples[i] = { prompt = asked[i][#asked[i]].content, reply = text, answer = wanted[i] }
    end
  end
  return out
end
