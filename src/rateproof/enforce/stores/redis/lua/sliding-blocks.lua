-- The latest block that admitted anything, counted from 1970, and how many were admitted since the
-- oldest that it counted beside began; then for each of blocks + 1, in turn, how many were before it.
algorithms["sliding-blocks"] = function(key, limit, window, blocks)
  local places = blocks + 1
  local block = math.ceil(window / blocks)
  local state = redis.call("GET", key)
  local index, total = 0, 0
  if state then index, total = struct.unpack(">I8I8", state) end

  -- How many were admitted before a block began, which is at most `blocks` before the latest.
  local function before(at)
    if not state or at > index then return total end
    return (struct.unpack(">I8", state, 17 + at % places * 8))
  end

  local function count_in(at) return total - before(at - blocks) end

  -- The first block in which `cost` fits: in the one after `index + blocks` nothing counts.
  local function fits_in(at)
    local low, high = at, index + places
    while low < high do
      local middle = math.floor((low + high) / 2)
      if count_in(middle) + cost <= limit then high = middle else low = middle + 1 end
    end
    return low
  end

  local function judge(now)
    local at = math.floor(now / block)
    local used = count_in(at)
    local cost_at = used + cost > limit and fits_in(at + 1) * block or 0
    return limit - used, cost_at, used > 0 and (index + places) * block or 0
  end

  local function take(now)
    local at = math.floor(now / block)
    local free_at = (at + places) * block
    if state and at == index then
      redis.call("SETRANGE", key, 0, struct.pack(">I8I8", at, total + cost))
      redis.call("PEXPIRE", key, ttl_ms(free_at))
      return free_at
    end
    local gone, starts = before(at - blocks), {}
    for each = at - blocks, at do
      starts[each % places + 1] = struct.pack(">I8", before(each) - gone)
    end
    local head = struct.pack(">I8I8", at, total - gone + cost)
    redis.call("SET", key, head .. table.concat(starts), "PX", ttl_ms(free_at))
    return free_at
  end

  return index * block, judge, take
end
