--- A baseline that remembers: the reply to the training prompt that has most words in common with
--- the one asked, word by word. Where it does well, the answers were in the training data.
---
---   local memory = ml.eval.baseline.nearest(w:chats("train", 4000))
---   ml.eval.run(memory, chat, "translate", { world = w })
---
--- Likeness is the cosine of TF-IDF vectors over words in lower case; of equals the first.
local WHO = "eval.baseline.nearest"

local Nearest = {}
Nearest.__index = Nearest
Nearest.__name = "moonlit.Nearest"

-- words of a conversation up to message number `last`, and how often each: a list of
-- { word, count } in the order they came, and so the same sums every time
local function words_of(messages, last)
  local list, at = {}, {}
  for i = 1, last do
    for word in (messages[i].content or ""):lower():gmatch "[%w\x80-\xFF]+" do
      if not at[word] then
        at[word] = #list + 1
        list[#list + 1] = { word = word, count = 0 }
      end
      list[at[word]].count = list[at[word]].count + 1
    end
  end
  return list
end

-- what was said after message number `from`, up to the next user's
local function reply_after(messages, from)
  local reply = {}
  for i = from + 1, #messages do
    if messages[i].role == "user" or messages[i].role == "system" then break end
    reply[#reply + 1] = messages[i]
  end
  return reply
end

-- every turn of a conversation is a prompt with its reply
local function learn(self, messages)
  for i, message in ipairs(messages) do
    local reply = message.role == "user" and reply_after(messages, i) or {}
    if #reply > 0 then
      local words = words_of(messages, i)
      self.prompts[#self.prompts + 1] = { words = words, reply = reply }
      for _, w in ipairs(words) do
        self.documents[w.word] = (self.documents[w.word] or 0) + 1
      end
    end
  end
end

-- lists from a word to the prompts that have it, with their share of its vector
local function index(self)
  self.postings = {}
  for p, prompt in ipairs(self.prompts) do
    local norm = 0.0
    for _, w in ipairs(prompt.words) do
      w.weight = w.count * self:idf(w.word)
      norm = norm + w.weight * w.weight
    end
    norm = norm > 0 and math.sqrt(norm) or 1
    for _, w in ipairs(prompt.words) do
      local list = self.postings[w.word] or {}
      list[#list + 1] = { prompt = p, weight = w.weight / norm }
      self.postings[w.word] = list
    end
    prompt.words = nil
  end
end

--- log((1 + N) / (1 + prompts with the word)) + 1.
function Nearest:idf(word)
  return math.log((1 + #self.prompts) / (1 + (self.documents[word] or 0))) + 1
end

--- The number of the nearest training prompt, and how near, 0..1 times the query's length.
--- @param messages table  ends with the user's
function Nearest:nearest(messages)
  local scores = {}
  for p = 1, #self.prompts do scores[p] = 0.0 end
  for _, w in ipairs(words_of(messages, #messages)) do
    local weight = w.count * self:idf(w.word)
    for _, posting in ipairs(self.postings[w.word] or {}) do
      scores[posting.prompt] = scores[posting.prompt] + weight * posting.weight
    end
  end
  local best = 1
  for p = 2, #scores do
    if scores[p] > scores[best] then best = p end
  end
  return best, scores[best]
end

--- What ml.eval.run asks of a model. The copied reply brings the tool results it was given.
function Nearest:converse(_, conversations)
  local out = {}
  for i, messages in ipairs(conversations) do
    local reply = self.prompts[(self:nearest(messages))].reply
    out[i] = { messages = table.move(reply, 1, #reply, 1, {}), ids = {}, stopped = true }
  end
  return out
end

--- @param chats {messages: table}[]|function  training conversations, a list or an iterator
--- @return Nearest
return function(chats)
  local self = setmetatable({ prompts = {}, documents = {} }, Nearest)
  if type(chats) == "function" then
    for chat in chats do learn(self, chat.messages) end
  else
    for _, chat in ipairs(chats) do learn(self, chat.messages) end
  end
  if #self.prompts == 0 then error(WHO .. ": no conversation with a reply to copy", 2) end
  index(self)
  return self
end
