--- An error whose reader is at a shell, not in the code: lua5.4 and moonlit print the message
--- alone, without a traceback. Raised where the command line, a run directory or a file of data is
--- wrong. tostring(err) is the message.
local Message = { __name = "moonlit.Message" }
Message.__index = Message
function Message:__tostring() return self.message end

return function(format, ...)
  error(setmetatable({ message = format:format(...) }, Message), 0)
end
