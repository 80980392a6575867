# frozen_string_literal: true

module SpecSupport
  # Libraries that come with one Ruby and not with the next.
  module Libraries
    module_function

    # Why a library can't be had; nil where it can.
    # @param feature [String] what `require` takes
    def missing(feature)
      return if $LOAD_PATH.resolve_feature_path(feature)

      # RubyGems adds the folder of a gem when it is first asked for it.
      gem(feature.tr("/", "-"))
      nil
    rescue Gem::LoadError
      "#{feature} doesn't come with Ruby #{RUBY_VERSION}, and no gem of it is installed"
    end
  end
end
