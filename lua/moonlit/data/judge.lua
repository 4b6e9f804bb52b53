--- How well a curation did, against the truth that the built-in world knows of its crawl.
---
---   local judge = ml.data.judge()
---   local docs = judge:watch(world:crawl(12000))     -- then filters, dedup, masks
---   ... judge:kept(doc) for each document that is left
---   judge:metrics()                                   -- as run:results takes them
---
--- Copies of a page are a group: one of them should stay. What was removed was rightly removed when
--- it was junk, or when a copy of it stayed.
local Judge = {}
Judge.__index = Judge
Judge.__name = "moonlit.Judge"

local function group_of(doc) return doc.truth.duplicate_of or doc.id end

--- An iterator's documents, noted as they go by.
function Judge:watch(docs)
  return function()
    local doc = docs()
    if doc == nil then return nil end
    local group = group_of(doc)
    self.docs[#self.docs + 1] = { id = doc.id, group = group, junk = doc.truth.junk }
    self.size[group] = (self.size[group] or 0) + 1
    self.personal[doc.id] = doc.truth.personal
    return doc
  end
end

--- A document that is left, as it is now.
function Judge:kept(doc)
  self.stays[doc.id] = true
  for _, text in ipairs(self.personal[doc.id] or {}) do
    self.planted = self.planted + 1
    if not doc.text:find(text, 1, true) then self.masked = self.masked + 1 end
  end
end

-- how many of each group stay, and what of the rest was junk, copies, or a loss
local function count(self)
  local stay, c = {}, { junk = 0, junk_gone = 0, copies = 0, copies_gone = 0, lost = 0, twice = 0 }
  for _, d in ipairs(self.docs) do
    if self.stays[d.id] then stay[d.group] = (stay[d.group] or 0) + 1 end
  end
  for _, d in ipairs(self.docs) do
    if d.junk then c.junk, c.junk_gone = c.junk + 1, c.junk_gone + (self.stays[d.id] and 0 or 1)
    elseif not self.stays[d.id] then
      if stay[d.group] then c.twice = c.twice + 1 else c.lost = c.lost + 1 end
    end
    if not d.junk and self.size[d.group] > 1 and d.group == d.id then
      c.copies = c.copies + self.size[d.group] - 1
      c.copies_gone = c.copies_gone + self.size[d.group] - math.max(1, stay[d.group] or 0)
    end
  end
  return c
end

--- Shares: junk found (recall) and how much of what the rules took was junk (precision); copies
--- found, and how much of what was taken as a copy was one; personal data masked.
function Judge:metrics()
  local c, list = count(self), {}
  local function share(name, title, part, whole)
    if whole == 0 then return end
    list[#list + 1] = { name = name, title = title, value = part / whole, n = whole, unit = "%",
                        better = "higher" }
  end
  share("junk_recall", "junk that was removed", c.junk_gone, c.junk)
  share("junk_precision", "junk among what was lost for good", c.junk_gone, c.junk_gone + c.lost)
  share("duplicates_recall", "copies that were removed", c.copies_gone, c.copies)
  share("duplicates_precision", "good pages removed that stay in another copy", c.twice,
        c.twice + c.lost)
  share("personal_recall", "personal data that was masked", self.masked, self.planted)
  return list
end

return function()
  return setmetatable({ docs = {}, size = {}, personal = {}, stays = {}, planted = 0, masked = 0 },
                      Judge)
end
