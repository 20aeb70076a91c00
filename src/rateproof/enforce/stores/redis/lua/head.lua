-- One decision: all quotas of a policy for one key, all or nothing. This file, then those of the
-- policy's algorithms, then decide.lua make one script.
--
-- KEYS  the state of each quota, absent while nothing of it binds
-- ARGV  "hit" or "peek", the cost, then for each quota its algorithm and three numbers
--
-- Times are the server's, in microseconds since 1970. They and all products below stay under
-- 2^53, so that Lua's numbers hold them exactly.
--
-- An algorithm is a function of a state's key and its three numbers, which returns
--
--   newest     a time that was reached when the state was written
--   judge(now) how many admissions are free; when `cost` and when all of them will be, 0 if now
--   take(now)  charges `cost`, which is free; returns when all are free again

local algorithms = {}
local cost = tonumber(ARGV[2])
local read = redis.call("TIME")
read = read[1] * 1000000 + read[2]

-- A state lives until it binds no more, never shorter: a millisecond more does no harm.
local function ttl_ms(free_at) return math.ceil((free_at - read) / 1000) + 1 end

local function load(key, form)
  local state = redis.call("GET", key)
  if state then return struct.unpack(form, state) end
  return 0, 0, 0
end

local function save(key, free_at, ...)
  redis.call("SET", key, struct.pack(...), "PX", ttl_ms(free_at))
end
