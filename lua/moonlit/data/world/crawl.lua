--- A crawl with known truth: pages, some with boilerplate around or personal data in them, copies
--- of earlier pages, copies with words changed, and junk.
local draw = require "moonlit.data.world.draw"
local mess = require "moonlit.data.world.mess"
local pages = require "moonlit.data.world.pages"

local crawl = {}

local KINDS = { { "page", 0.70 }, { "copy", 0.10 }, { "near", 0.08 }, { "junk", 0.12 } }

local function id_of(i) return ("crawl-%06d"):format(i) end

local function kind_of(seed, i)
  if i == 1 then return "page" end
  return draw.new(seed, "crawl/kind", i):weighted(KINDS)
end

-- a page, its text without what is around it, and its truth
local function page(seed, i)
  local d = draw.new(seed, "crawl/page", i)
  local clean = pages.page(d, "train")
  local text, truth = clean, { kind = "page", junk = false, personal = {}, boilerplate = false }
  if d:chance(0.12) then text, truth.personal = mess.personal(d, text) end
  if d:chance(0.35) then text, truth.boilerplate = mess.boilerplate(d, text), true end
  return text, truth, clean
end

-- an earlier page
local function earlier(d, seed, i)
  local j = d:int(i - 1)
  while kind_of(seed, j) ~= "page" do j = j > 1 and j - 1 or i - 1 end
  return j
end

--- Document i of a seed's crawl.
--- @return { id: string, text: string, source: "crawl", truth: table }
function crawl.document(seed, i)
  local kind, d = kind_of(seed, i), draw.new(seed, "crawl/mess", i)
  local text, truth
  if kind == "junk" then
    text, truth = mess.junk(d), { kind = "junk", junk = true, personal = {}, boilerplate = false }
  elseif kind == "page" then
    text, truth = page(seed, i)
  else
    local j = earlier(d, seed, i)
    local clean
    text, truth, clean = page(seed, j)
    if kind == "near" then
      text, truth = mess.near_copy(d, clean), { junk = false, personal = {}, boilerplate = false }
    end
    truth.kind, truth.duplicate_of = kind, id_of(j)
  end
  return { id = id_of(i), text = text, source = "crawl", truth = truth }
end

return crawl
