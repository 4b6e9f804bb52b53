-- lua5.4 tests/oracle/words.lua -- our words and how many sentences, for data.py: a JSON string a
-- line comes in, { words = { ... }, sentences = n } goes out.
package.path = "./?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = "build/release/?.so;" .. package.cpath
local core = require "moonlit.core"
local json = require "moonlit.json"

io.stdout:setvbuf "line"
for line in io.lines() do
  local text = assert(json.decode(line))
  print(json.encode { words = json.array(core.stats.words(text)),
                      sentences = core.stats.sentences(text) })
end
