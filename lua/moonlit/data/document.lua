--- What every step of curation asks of a document, { id =, text =, source =, ... }.
local document = {}

--- Its text; raises for anything without one.
--- @param who string   named in the message
--- @param level? integer  whom to blame, as error() counts from the caller
function document.text(doc, who, level)
  local text = type(doc) == "table" and doc.text
  if type(text) ~= "string" then
    error(("%s: expected a document with a text, got %s"):format(
      who, type(doc) == "table" and "text = " .. type(doc.text) or type(doc)), (level or 2) + 1)
  end
  return text
end

--- An iterator of documents, of a list of them or of one already.
--- @param docs function|table
--- @param who string     named in the message
--- @param level? integer
function document.each(docs, who, level)
  if type(docs) == "function" then return docs end
  if type(docs) ~= "table" then
    error(("%s: expected an iterator or a list, got %s"):format(who, type(docs)), (level or 2) + 1)
  end
  if (getmetatable(docs) or {}).__call then return docs end
  local i = 0
  return function()
    i = i + 1
    return docs[i]
  end
end

--- The same document with another text; the old one stays as it is.
function document.with_text(doc, text)
  local new = {}
  for key, value in pairs(doc) do new[key] = value end
  new.text = text
  return new
end

local Wrong = { __name = "moonlit.WrongDocument" } -- no field says so: a line could have it

--- Something a reader could make no document of: { id =, text =, wrong = reason, why = message }.
function document.wrong(doc) return setmetatable(doc, Wrong) end

function document.is_wrong(doc) return getmetatable(doc) == Wrong end

--- a / b, and 0 where there is nothing to count: no text is empty enough to fail.
function document.ratio(a, b) return b == 0 and 0 or a / b end

return document
