-- The window of the last admission, counted from 1970, and how many it admitted.
algorithms["fixed-window"] = function(key, limit, window)
  local index, count = load(key, ">I8I8")

  local function count_in(current) return current == index and count or 0 end

  local function judge(now)
    local current = math.floor(now / window)
    local ends, used = (current + 1) * window, count_in(current)
    return limit - used, used + cost > limit and ends or 0, used > 0 and ends or 0
  end

  local function take(now)
    local current = math.floor(now / window)
    local ends = (current + 1) * window
    save(key, ends, ">I8I8", current, count_in(current) + cost)
    return ends
  end

  return index * window, judge, take
end
