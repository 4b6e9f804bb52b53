--- Documents into a file of one JSON object a line. The file appears whole or not at all, and equal
--- documents give equal bytes, gzip (a name in .gz) included.
---
---   local n = assert(ml.data.write("clean.jsonl.gz", documents))
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local json = require "moonlit.json"

local WHO = "data.write: "

--- @param path string  in .jsonl or .jsonl.gz
--- @param documents function|table[]  an iterator or a list of tables that JSON can hold
--- @return integer|nil documents written; nil, message, code when the file cannot be
return function(path, documents)
  if type(path) ~= "string" or not path:find "%.jsonl$" and not path:find "%.jsonl%.gz$" then
    error(("%sexpected a name in .jsonl or .jsonl.gz, got %s"):format(WHO, tostring(path)), 2)
  end
  local next_document = document.each(documents, "data.write")
  local made, err, code = core.data.out(path, path:find "%.gz$" ~= nil)
  if not made then return nil, WHO .. err, code end
  local out <close> = made -- an error below takes the unfinished file with it
  local n = 0
  for doc in next_document do
    local fine, line = pcall(json.encode, doc)
    if not fine then
      error(("%sdocument %d: %s"):format(WHO, n + 1, (line:gsub("^.-json%.encode: ", ""))), 2)
    end
    if type(doc) ~= "table" then
      error(("%sdocument %d: expected a table, got a %s"):format(WHO, n + 1, type(doc)), 2)
    end
    fine, err, code = out:put(line .. "\n")
    if not fine then return nil, WHO .. err, code end
    n = n + 1
  end
  local done
  done, err, code = out:commit()
  if not done then return nil, WHO .. err, code end
  return n
end
