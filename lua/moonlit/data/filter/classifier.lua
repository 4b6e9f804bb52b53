--- Documents by what a classifier makes of them (moonlit.data.classifier).
---
---   local keep = ml.data.filter.classifier { classifier = c, min_score = 0.5 }
---   keep { text = "buy buy buy" }                 -- false, "quality", "score 0.02"
local options = require "moonlit.options"

--- @param opt {classifier: table, min_score: number?}  anything with c:score(doc); 0.5
--- @return fun(doc: table): boolean, string?, string?
return function(opt)
  local o = options(opt, { classifier = options.required, min_score = 0.5 }, "filter.classifier")
  if type(o.classifier) ~= "table" or type(o.classifier.score) ~= "function" then
    error("filter.classifier: classifier must be one of ml.data.classifier, got "
          .. type(o.classifier), 2)
  end
  return function(doc)
    local score = o.classifier:score(doc)
    if score >= o.min_score then return true end
    return false, "quality", ("score %.2f"):format(score)
  end
end
