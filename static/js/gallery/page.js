// The wall of images: each part listens for itself.
import "darkroom/gallery/search";
import "darkroom/gallery/wall";
import "darkroom/gallery/selection";
import "darkroom/gallery/acts";
import "darkroom/gallery/star";
import "darkroom/gallery/collect";
import "darkroom/gallery/keys";
