# frozen_string_literal: true

# Follows the links of a site, each page in a fiber of its own: the fibers form the same tree as the
# pages. When time is up, all of them end with the first.
#
#   bin/ruby examples/crawler.rb http://example.com/ 10
#
# crawls for at most ten seconds.

require "net/http"
require "polyphony"
require "timeout"

# One site, page by page.
class Crawler
  AT_ONCE = 20
  PAGE_SECONDS = 2

  def initialize
    @seen = {}
    @places = SizedQueue.new(AT_ONCE)
  end

  # Visits a page and what it links to; comes back when all of them were visited.
  def visit(url)
    return if @seen.key?(url)

    @seen[url] = "not finished"
    links = links_of(url)
    Fiber.await(links.map { |link| spin { visit(link) } })
  end

  def report
    @seen.sort_by { |url, _| url.to_s }.each { |url, outcome| puts "#{url.path}: #{outcome}" }
    puts "#{@seen.size} pages"
  end

  private

  def links_of(url)
    response = fetch(url)
    @seen[url] = response.code
    return [] unless response.is_a?(Net::HTTPOK)

    found = response.body.scan(/href="([^"#]+)/).flatten.map { |link| URI.join(url, link) }
    found.select { |link| [link.host, link.port] == [url.host, url.port] }
  rescue Timeout::Error, SystemCallError, SocketError, URI::Error => e
    @seen[url] = e.class
    []
  end

  # At most so many at a time.
  def fetch(url)
    @places << url
    limits = { open_timeout: PAGE_SECONDS, read_timeout: PAGE_SECONDS, max_retries: 0 }
    Net::HTTP.start(url.host, url.port, limits) { |http| http.get(url.request_uri) }
  ensure
    @places.pop
  end
end

# No Timeout::Error, which would pass for that of a page.
class TimeIsUp < RuntimeError; end

start, seconds = ARGV
abort "usage: crawler.rb URL SECONDS" unless seconds

crawler = Crawler.new
begin
  spin { Timeout.timeout(Float(seconds), TimeIsUp) { crawler.visit(URI(start)) } }.await
rescue TimeIsUp
  puts "time is up"
end
crawler.report
