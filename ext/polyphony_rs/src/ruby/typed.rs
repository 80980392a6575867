//! Rust structs inside Ruby objects.

use std::cell::OnceCell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::zeroed;
use std::os::raw::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rb_sys::{VALUE, rb_data_type_t};

/// A struct that lives in a Ruby object.
pub(crate) trait Typed: Sized + 'static {
    /// Shown in TypeErrors.
    const NAME: &'static CStr;
    /// Its type descriptor: `static TYPE: DataType<Self> = DataType::new();`
    fn data_type() -> &'static DataType<Self>;
    /// Marks every VALUE that the struct holds. Marked with [`mark`], they stay in place.
    fn mark(&self);
    /// Bytes on the heap.
    fn size(&self) -> usize {
        size_of::<Self>()
    }
    /// Called when the object is collected, before the struct is dropped. No call into Ruby is
    /// possible, and other objects may be gone already.
    fn on_free(&mut self) {}
    /// Objects have moved: update weak references (marked ones stay in place).
    fn compact(&mut self) {}
}

/// `RUBY_TYPED_FREE_IMMEDIATELY`
const FREE_IMMEDIATELY: VALUE = 1;

/// `rb_data_type_t` of a struct.
pub(crate) struct DataType<T>(rb_data_type_t, PhantomData<fn(T)>);

// SAFETY: the descriptor is never written after it was built.
unsafe impl<T> Sync for DataType<T> {}

impl<T: Typed> DataType<T> {
    pub(crate) const fn new() -> Self {
        // SAFETY: all zeroes is a valid descriptor: null pointers, no functions.
        let mut raw: rb_data_type_t = unsafe { zeroed() };
        raw.wrap_struct_name = T::NAME.as_ptr();
        raw.function.dmark = Some(mark_struct::<T>);
        raw.function.dfree = Some(free_struct::<T>);
        raw.function.dsize = Some(size_of_struct::<T>);
        raw.function.dcompact = Some(compact_struct::<T>);
        // No free function of ours calls into Ruby.
        raw.flags = FREE_IMMEDIATELY;
        Self(raw, PhantomData)
    }
}

/// What the object points to: the struct comes when `initialize` has succeeded.
type Cell<T> = OnceCell<T>;

unsafe extern "C" fn mark_struct<T: Typed>(data: *mut c_void) {
    // SAFETY: Ruby passes the pointer that `allocate` stored.
    if let Some(data) = unsafe { &*data.cast::<Cell<T>>() }.get() {
        data.mark();
    }
}

/// Nothing is freed any more.
static KEEPING_ALL: AtomicBool = AtomicBool::new(false);

/// For the end of the process: structs stay where they are, though Ruby frees their objects.
pub(crate) fn keep_all_structs() {
    KEEPING_ALL.store(true, Ordering::Relaxed);
}

unsafe extern "C" fn free_struct<T: Typed>(data: *mut c_void) {
    if KEEPING_ALL.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the pointer came from Box::into_raw in `allocate`, and this is its end.
    let mut cell = unsafe { Box::from_raw(data.cast::<Cell<T>>()) };
    // In place: others may know the struct by its address.
    if let Some(data) = cell.get_mut() {
        data.on_free();
    }
}

unsafe extern "C" fn size_of_struct<T: Typed>(data: *const c_void) -> rb_sys::size_t {
    // SAFETY: as in `mark_struct`.
    let data = unsafe { &*data.cast::<Cell<T>>() };
    data.get().map_or(0, |data| data.size() as rb_sys::size_t)
}

unsafe extern "C" fn compact_struct<T: Typed>(data: *mut c_void) {
    // SAFETY: as in `mark_struct`; nothing else runs during compaction.
    if let Some(data) = unsafe { &mut *data.cast::<Cell<T>>() }.get_mut() {
        data.compact();
    }
}

/// Marks a value and keeps it from moving.
pub(crate) fn mark(value: VALUE) {
    // SAFETY: called while marking; special constants are ignored.
    unsafe { rb_sys::rb_gc_mark(value) };
}

/// Keeps an object alive and in place for ever; during initialisation.
pub(crate) fn keep(object: VALUE) {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_gc_register_mark_object(object) };
}

/// A class of ours that objects are made of.
pub(crate) struct Class(AtomicU64);

impl Class {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Defines it as a constant of `outer`; during initialisation.
    pub(crate) fn define_under(&self, outer: VALUE, name: &CStr) -> VALUE {
        let class = define_class_under(outer, name);
        self.0.store(class, Ordering::Relaxed);
        class
    }

    /// The same for a class of exceptions.
    pub(crate) fn define_error_under(&self, outer: VALUE, name: &CStr) {
        // SAFETY: the class is a constant of the VM.
        self.define_subclass_under(outer, name, unsafe { rb_sys::rb_eStandardError });
    }

    /// The same with a superclass of one's own.
    pub(crate) fn define_subclass_under(&self, outer: VALUE, name: &CStr, superclass: VALUE) {
        self.0.store(define_subclass_under(outer, name, superclass), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> VALUE {
        self.0.load(Ordering::Relaxed)
    }
}

/// Defines a class as a constant of `outer`; during initialisation.
pub(crate) fn define_class_under(outer: VALUE, name: &CStr) -> VALUE {
    // SAFETY: the class is a constant of the VM.
    define_subclass_under(outer, name, unsafe { rb_sys::rb_cObject })
}

/// The same with a superclass of one's own.
pub(crate) fn define_subclass_under(outer: VALUE, name: &CStr, superclass: VALUE) -> VALUE {
    // SAFETY: during initialisation; both are classes, the name a C string.
    let class = unsafe { rb_sys::rb_define_class_under(outer, name.as_ptr(), superclass) };
    keep(class);
    class
}

/// A module inside a class, kept; during initialisation.
pub(crate) fn define_module_under(outer: VALUE, name: &CStr) -> VALUE {
    // SAFETY: as above.
    let module = unsafe { rb_sys::rb_define_module_under(outer, name.as_ptr()) };
    keep(module);
    module
}

/// Takes `new` away from a class: its objects come from methods of ours.
pub(crate) fn undefine_allocator(class: VALUE) {
    // SAFETY: during initialisation; `class` is a class.
    unsafe {
        rb_sys::rb_undef_alloc_func(class);
        rb_sys::rb_undef_method(rb_sys::rb_singleton_class(class), c"new".as_ptr());
    }
}

/// Where a value is after compaction.
pub(crate) fn location(value: VALUE) -> VALUE {
    // SAFETY: called from a compact function.
    unsafe { rb_sys::rb_gc_location(value) }
}

/// A new object of `class` around nothing yet.
fn allocate<T: Typed>(class: VALUE) -> VALUE {
    let cell = Box::into_raw(Box::new(Cell::<T>::new()));
    // SAFETY: `class` is a class, and the pointer is what the descriptor's functions expect.
    unsafe { rb_sys::rb_data_typed_object_wrap(class, cell.cast(), &raw const T::data_type().0) }
}

unsafe extern "C" fn allocator<T: Typed>(class: VALUE) -> VALUE {
    allocate::<T>(class)
}

/// Makes `class.new` (and that of subclasses) allocate an object for a `T`.
pub(crate) fn define_allocator<T: Typed>(class: VALUE) {
    // SAFETY: during initialisation; the allocator has the signature that Ruby calls.
    unsafe { rb_sys::rb_define_alloc_func(class, Some(allocator::<T>)) };
}

/// The cell in an object. Unwinds with a TypeError for an object of another type.
fn cell<T: Typed>(object: VALUE) -> &'static Cell<T> {
    // SAFETY: rb_check_typeddata answers only for an object that `allocate` made.
    unsafe { &*rb_sys::rb_check_typeddata(object, &raw const T::data_type().0).cast::<Cell<T>>() }
}

/// Puts the struct into an object made by the allocator; one that is there stays.
pub(crate) fn put<T: Typed>(object: VALUE, data: T) {
    let _ = cell(object).set(data);
}

/// A new object of `class` around `data`.
pub(crate) fn wrap<T: Typed>(class: VALUE, data: T) -> VALUE {
    let object = allocate::<T>(class);
    put(object, data);
    object
}

/// The struct inside an object, `None` before it was put there. Unwinds with a TypeError for an
/// object of another type.
///
/// The reference is good as long as the object is alive: the callers hold it on their stack as
/// the receiver, or in a structure that is marked.
pub(crate) fn get<T: Typed>(object: VALUE) -> Option<&'static T> {
    cell(object).get()
}

/// Whether an object holds a `T`.
pub(crate) fn is<T: Typed>(object: VALUE) -> bool {
    // SAFETY: any value may be asked.
    unsafe { rb_sys::rb_typeddata_is_kind_of(object, &raw const T::data_type().0) != 0 }
}
